#include "bilens/analysis/decomposition.h"

#include <ATen/ATen.h>

#include "bilens/core/files.h"
#include "bilens/io/safetensors.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr int kFormatVersion = 1;

/// The one list of a layer file's tensors; "L" gives LayerDecomposition const or not.
template <class L>
auto tensor_fields(L& layer) {
  auto& p = layer.pairs;
  return std::vector<std::pair<const char*, decltype(&layer.linear)>>{{"directions", &layer.directions},
                                                                      {"eigenvalues", &p.eigenvalues},
                                                                      {"eigenvectors", &p.eigenvectors},
                                                                      {"residuals", &p.residuals},
                                                                      {"trace", &p.trace},
                                                                      {"frobenius", &p.frobenius},
                                                                      {"weight_energy", &p.weight_energy},
                                                                      {"vector_error", &p.vector_error},
                                                                      {"linear", &layer.linear},
                                                                      {"constant", &layer.constant},
                                                                      {"converged", &p.converged},
                                                                      {"columns", &p.columns},
                                                                      {"cluster", &p.cluster},
                                                                      {"tie_at_k", &p.tie_at_k}};
}

std::string file_name(const LayerDecomposition& layer) {
  return "layer_" + std::to_string(layer.layer) + ".safetensors";
}

Json describe_layer(const LayerDecomposition& l) {
  const auto rank = l.pairs.effective_rank.contiguous();
  return {
      {"layer", l.layer},
      {"file", file_name(l)},
      {"method", "dense"},
      {"dtype", l.dtype},
      {"input_space", l.input_space},
      {"d_in", l.d_in},
      {"d_hidden", l.d_hidden},
      {"d_out", l.d_out},
      {"directions", l.directions_kind},
      {"output_is", l.output_is},
      {"n_directions", l.pairs.size()},
      {"center", l.center},
      {"mean_energy_share", l.mean_energy_share ? Json(*l.mean_energy_share) : Json(nullptr)},
      {"k", l.pairs.k()},
      {"has_linear", l.linear.defined()},
      {"worst_residual", l.pairs.residuals.max().item<double>()},
      {"converged", l.pairs.converged.sum().item<int64_t>()},
      {"certified", 0},
      {"effective_rank",
       std::vector<double>(rank.const_data_ptr<double>(), rank.const_data_ptr<double>() + rank.numel())},
      {"seconds",
       {{"form", l.pairs.seconds_form}, {"solve", l.pairs.seconds_solve}, {"check", l.pairs.seconds_check}}}};
}

LayerDecomposition read_layer(const fs::path& directory, const Json& entry) {
  LayerDecomposition layer;
  layer.layer = entry.at("layer").get<int64_t>();
  layer.d_in = entry.at("d_in").get<int64_t>();
  layer.d_hidden = entry.at("d_hidden").get<int64_t>();
  layer.d_out = entry.at("d_out").get<int64_t>();
  layer.dtype = entry.at("dtype").get<std::string>();
  layer.input_space = entry.at("input_space").get<std::string>();
  layer.directions_kind = entry.at("directions").get<std::string>();
  layer.output_is = entry.at("output_is").get<std::string>();
  layer.center = entry.at("center").get<std::string>();
  const SafetensorsFile file(directory / file_name(layer));
  for (const auto& [name, tensor] : tensor_fields(layer)) {
    if (file.tensors().count(name) != 0) *tensor = file.tensor(name);
  }
  layer.pairs.effective_rank = at::tensor(entry.at("effective_rank").get<std::vector<double>>(), at::kDouble);
  const int64_t n = entry.at("n_directions").get<int64_t>(), k = entry.at("k").get<int64_t>();
  const std::string where = file.path().string() + ": ";
  for (const char* name : {"eigenvalues", "residuals"})
    require_shape(file.tensor(name), {n, k}, where + name);
  require_shape(file.tensor("eigenvectors"), {n, k, layer.d_in}, where + "eigenvectors");
  if (layer.linear.defined()) require_shape(layer.linear, {n, layer.d_in}, where + "linear");
  return layer;
}

}  // namespace

void write_decomposition(const fs::path& directory, const Decomposition& decomposition) {
  Json info = decomposition.info;
  info["layers"] = Json::array();
  for (const auto& layer : decomposition.layers) {
    NamedTensors tensors;
    for (const auto& [name, tensor] : tensor_fields(layer)) {
      if (tensor->defined()) tensors.emplace_back(name, *tensor);
    }
    write_safetensors(
        directory / file_name(layer), tensors,
        {{"format", "bilens-decomposition-layer"}, {"format_version", std::to_string(kFormatVersion)}});
    info["layers"].push_back(describe_layer(layer));
  }
  Json head = {{"format", "bilens-decomposition"}, {"format_version", kFormatVersion}};
  head.update(info);
  write_text(directory / kDecompositionFile, format_json(head));
}

Decomposition read_decomposition(const fs::path& directory) {
  const fs::path file = directory / kDecompositionFile;
  Decomposition decomposition;
  decomposition.info = read_json(file, ExitCode::kBadInput);
  const Json& info = decomposition.info;
  if (!info.is_object() || info.value("format", "") != "bilens-decomposition" ||
      info.value("format_version", 0) != kFormatVersion) {
    throw Error(ExitCode::kBadInput,
                {file.string(), "format bilens-decomposition, version " + std::to_string(kFormatVersion),
                 info.is_object() ? info.value("format_version", Json()).dump() : describe(info), ""});
  }
  try {
    for (const auto& entry : info.at("layers")) decomposition.layers.push_back(read_layer(directory, entry));
  } catch (const Json::exception& error) {
    throw Error(ExitCode::kBadInput,
                {file.string(), "an entry for each layer as docs/formats.md says", error.what(), ""});
  }
  decomposition.info.erase("layers");
  return decomposition;
}

}  // namespace bilens
