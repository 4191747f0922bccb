#include "forms.h"

#include <ATen/ATen.h>

#include "bilens/analysis/forms/interaction.h"
#include "bilens/run/folded_layers.h"
#include "bilens/study/comparison.h"
#include "bilens/tensor/device_memory.h"

namespace bilens::python {

namespace {

at::Tensor defined(const std::optional<at::Tensor>& tensor) { return tensor.value_or(at::Tensor()); }

/// JSON text.
std::string compare_layers(const BilinearLayer& a, const BilinearLayer& b,
                           const std::optional<at::Tensor>& x) {
  const auto comparison = in_library([&] {
    const auto inputs = defined(x);
    std::optional<InputDistribution> gaussian;
    if (x) gaussian = fit_gaussian(inputs);
    return compare(prepare_comparison(a, inputs), prepare_comparison(b, inputs),
                   prepare_comparison(untrained_like(a), inputs), gaussian ? &*gaussian : nullptr);
  });
  return Comparison::record().write(comparison).dump();
}

/// The layers, each by its number, and the norm that was folded in, as JSON text.
std::pair<std::vector<std::pair<int64_t, BilinearLayer>>, std::string> fold(const StoredModel& model,
                                                                            const std::string& config) {
  const auto folded = in_library([&] { return folded_layers(model, parse(config)); });
  return {folded.layers, RecordValue<std::optional<NormRecord>>::write(folded.norm).dump()};
}

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
           py::arg("down_bias"), py::arg("name"))
      .def_readonly("gate", &BilinearLayer::gate)
      .def_readonly("up", &BilinearLayer::up)
      .def_readonly("down", &BilinearLayer::down)
      .def_readonly("gate_bias", &BilinearLayer::gate_bias)
      .def_readonly("up_bias", &BilinearLayer::up_bias)
      .def_readonly("down_bias", &BilinearLayer::down_bias);
  module.def("compare_layers", &compare_layers, py::arg("a"), py::arg("b"), py::arg("x"));
  module.def("folded_layers", &fold, py::arg("model"), py::arg("config"));
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
