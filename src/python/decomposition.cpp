#include "decomposition.h"

#include <pybind11/stl/filesystem.h>

#include "bilens/records/decomposition.h"
#include "bilens/run/decompose_model.h"
#include "bilens/study/layer_on_images.h"

namespace bilens::python {

namespace {

/// Every tensor of a layer's file, by its name there.
NamedTensors tensors_of(const LayerDecomposition& layer) {
  auto sizes = layer.dimensions();
  auto tensors = LayerDecomposition::tensors().write(layer, "", sizes);
  const auto add = [&](const NamedTensors& more) { tensors.insert(tensors.end(), more.begin(), more.end()); };
  if (layer.has_pairs()) {
    sizes["k"] = layer.pairs.k();
    add(EigenPairs::tensors().write(layer.pairs, "", sizes));
  }
  if (layer.factors) add(layer.factors->tensors(sizes));
  return tensors;
}

Json describe(const Decomposition& decomposition) {
  auto info = decomposition.info;
  info.layers.clear();
  for (const auto& layer : decomposition.layers) info.layers.push_back(to_record(layer));
  return DecompositionRecord::record().write(info);
}

void bind_model(py::module_& module) {
  py::class_<StoredModel>(module, "StoredModel")
      .def(py::init<std::filesystem::path>(), py::arg("path"))
      .def(
          py::init([](const std::string& name, const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                      const std::string& config) {
            return StoredModel(name, tensors, config.empty() ? Json() : parse(config));
          }),
          py::arg("name"), py::arg("tensors"), py::arg("config"));
}

void bind_layer(py::module_& module) {
  using Layer = LayerDecomposition;
  py::class_<Layer>(module, "LayerDecomposition")
      .def_readonly("layer", &Layer::layer)
      .def("tensors", &tensors_of)
      .def("contributions",
           [](const Layer& layer, int64_t direction, const at::Tensor& inputs) {
             return in_library([&] { return contributions(layer, direction, inputs); });
           })
      .def("linear_part", [](const Layer& layer, int64_t direction, const at::Tensor& inputs) {
        return in_library([&] { return linear_part(layer, direction, inputs); });
      });
}

Decomposition decompose(const StoredModel& model, const std::optional<StoredModel>& minus,
                        const std::string& config, const std::optional<at::Tensor>& directions,
                        const std::string& data, const std::string& out, bool resume, bool overwrite,
                        const std::vector<std::string>& pieces) {
  const DecomposeModelOptions options{
      model, minus, parse(config), "",        directions.value_or(at::Tensor()),
      data,  out,   resume,        overwrite, pieces};
  return in_library([&] { return decompose_model(options); });
}

}  // namespace

void bind_decomposition(py::module_& module) {
  bind_model(module);
  bind_layer(module);
  py::class_<Decomposition>(module, "Decomposition")
      .def("info", [](const Decomposition& decomposition) { return describe(decomposition).dump(); })
      .def("layers", [](const Decomposition& decomposition) { return decomposition.layers; })
      .def("part",
           [](const Decomposition& whole, size_t place) {
             return Decomposition{whole.info, {whole.layers.at(place)}, whole.surrogates};
           })
      .def("save", [](const Decomposition& decomposition, const std::filesystem::path& out, bool overwrite) {
        in_library([&] { save_decomposition(out, decomposition, overwrite); });
      });
  module.def("decompose", &decompose, py::arg("model"), py::arg("minus"), py::arg("config"),
             py::arg("directions"), py::arg("data"), py::arg("out"), py::arg("resume"), py::arg("overwrite"),
             py::arg("pieces"));
  module.def("load", [](const std::filesystem::path& folder) {
    return in_library([&] { return read_decomposition(folder); });
  });
}

}  // namespace bilens::python
