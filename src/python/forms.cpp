#include "forms.h"

#include <ATen/ATen.h>

#include "bilens/analysis/forms/interaction.h"
#include "bilens/tensor/device_memory.h"

namespace bilens::python {

namespace {

at::Tensor defined(const std::optional<at::Tensor>& tensor) { return tensor.value_or(at::Tensor()); }

}  // namespace

void bind_forms(py::module_& module) {
  module.def("free_memory", [] { return free_memory(at::Device(at::kCPU)); });
  py::class_<BilinearLayer>(module, "BilinearLayer")
      .def(py::init([](const at::Tensor& gate, const at::Tensor& up, const std::optional<at::Tensor>& down,
                       const std::optional<at::Tensor>& gate_bias, const std::optional<at::Tensor>& up_bias,
                       const std::optional<at::Tensor>& down_bias, const std::string& name) {
             BilinearLayer layer{
                 gate, up, defined(down), defined(gate_bias), defined(up_bias), defined(down_bias)};
             in_library([&] { check_layer(layer, name); });
             return layer;
           }),
           py::arg("gate"), py::arg("up"), py::arg("down"), py::arg("gate_bias"), py::arg("up_bias"),
           py::arg("down_bias"), py::arg("name"));
  py::class_<InteractionOperator>(module, "InteractionOperator")
      .def(py::init([](const BilinearLayer& layer, const std::optional<at::Tensor>& directions) {
             return in_library([&] { return InteractionOperator(layer, defined(directions)); });
           }),
           py::arg("layer"), py::arg("directions"))
      .def(
          "form",
          [](const InteractionOperator& forms, int64_t first, int64_t count, bool in_double) {
            return in_library([&] { return forms.form(first, count, in_double ? at::kDouble : at::kFloat); });
          })
      .def("apply", [](const InteractionOperator& forms, const at::Tensor& x) {
        return in_library([&] { return forms.apply(x); });
      });
}

}  // namespace bilens::python
