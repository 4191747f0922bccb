#include "layer_data.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numeric>

#include "bilens/tensor/shape.h"
#include "encode.h"
#include "factor_data.h"

namespace bilens::report {

namespace {

/// What was measured of a layer; null where nothing was.
struct Measured {
  const LayerStudy* study;
  const Corpus* corpus;
  const Tokens* tokens;
  int64_t layer;
};

/// The tensors of a layer: n directions, k eigenpairs. Undefined where the file has none.
struct Layer {
  int64_t n = 0, k = 0, d = 0;
  at::Tensor eigenvalues, eigenvectors, residuals;  // [n, k], [n, k, d], [n, k]
  at::Tensor weight_energy, vector_error, cluster;  // [n, k]
  at::Tensor trace, frobenius, shift, constant, converged, columns, tie, bound, rank_error;  // [n]
  at::Tensor linear;                                                                         // [n, d]
  std::vector<double> effective_rank;                                                        // [n], or empty
};

Layer read_layer(const CheckedJson& entry, const SafetensorsFile& file) {
  Layer layer;
  layer.n = entry.size("n_directions");
  layer.k = entry.size("k");
  layer.d = entry.size("d_in");
  const auto required = [&](const std::string& name, at::IntArrayRef shape) {
    const auto tensor = file.tensor(name);
    require_shape(tensor, shape, file.path().string() + ": " + name);
    return tensor.to(at::kDouble).contiguous();
  };
  const auto optional = [&](const std::string& name, at::IntArrayRef shape) {
    return file.tensors().count(name) != 0 ? required(name, shape) : at::Tensor();
  };
  const int64_t n = layer.n, k = layer.k, d = layer.d;
  layer.eigenvalues = required("eigenvalues", {n, k});
  require_finite(layer.eigenvalues, file.path().string() + ": eigenvalues");
  layer.eigenvectors = file.tensor("eigenvectors");  // large: converted one by one
  require_shape(layer.eigenvectors, {n, k, d}, file.path().string() + ": eigenvectors");
  layer.residuals = optional("residuals", {n, k});
  layer.weight_energy = optional("weight_energy", {n, k});
  layer.vector_error = optional("vector_error", {n, k});
  layer.cluster = optional("cluster", {n, k});
  layer.trace = optional("trace", {n});
  layer.frobenius = optional("frobenius", {n});
  layer.shift = optional("shift", {n});
  layer.linear = optional("linear", {n, d});
  layer.constant = optional("constant", {n});
  layer.converged = optional("converged", {n});
  layer.columns = optional("columns", {n});
  layer.tie = optional("tie_at_k", {n});
  layer.bound = optional("certified_bound", {n});
  layer.rank_error = optional("effective_rank_error", {n});
  if (entry.has("effective_rank")) layer.effective_rank = entry.numbers("effective_rank");
  return layer;
}

/// An element of a float64 [n] or [n, k]; null where the file has no such tensor.
Json value(const at::Tensor& tensor, int64_t direction) {
  return tensor.defined() ? short_number(tensor.const_data_ptr<double>()[direction]) : Json();
}

Json value(const at::Tensor& tensor, int64_t direction, int64_t index) {
  return tensor.defined() ? short_number(tensor.const_data_ptr<double>()[direction * tensor.size(1) + index])
                          : Json();
}

Json spectrum(const Layer& layer, int64_t direction) {
  const double* row = layer.eigenvalues.const_data_ptr<double>() + direction * layer.k;
  return short_numbers({row, row + layer.k});
}

/// Indices of the leading `count` eigenvalues of each sign, in the order of the spectrum; zero has no sign.
std::vector<int64_t> leading(const Json& spectrum, int64_t count) {
  std::vector<int64_t> indices;
  int64_t positive = 0, negative = 0;
  for (int64_t i = 0; i < static_cast<int64_t>(spectrum.size()); ++i) {
    const double eigenvalue = spectrum[i].get<double>();
    if ((eigenvalue > 0 && positive++ < count) || (eigenvalue < 0 && negative++ < count))
      indices.push_back(i);
  }
  return indices;
}

Json eigenpair(const Layer& layer, const Measured& measured, int64_t direction, int64_t index,
               const Detail& detail, ImagePool& images) {
  Json pair = quantised(layer.eigenvectors[direction][index]);
  pair["index"] = index;
  pair["weight_energy"] = value(layer.weight_energy, direction, index);
  pair["residual"] = value(layer.residuals, direction, index);
  pair["vector_error"] = value(layer.vector_error, direction, index);
  pair["cluster"] = value(layer.cluster, direction, index);
  const auto& [study, corpus, tokens, number] = measured;
  if (study != nullptr) pair.update(study->eigenpair(direction, index, detail.examples, images));
  if (corpus != nullptr) pair.update(corpus->eigenpair(number, direction, index, detail.examples));
  if (tokens != nullptr) pair["tokens"] = tokens->eigenpair(number, direction, index, detail.examples);
  return pair;
}

Json linear_part(const Layer& layer, int64_t direction) {
  if (!layer.linear.defined()) return nullptr;
  const auto vector = layer.linear[direction];
  Json part = quantised(vector);
  part["norm"] = short_number(vector.norm().item<double>());
  part["constant"] = value(layer.constant, direction);
  return part;
}

Json direction_data(const Layer& layer, const Measured& measured, int64_t direction, const Detail& detail,
                    ImagePool& images) {
  const Json eigenvalues = spectrum(layer, direction);
  Json vectors = Json::array();
  for (const int64_t index : leading(eigenvalues, detail.vectors)) {
    vectors.push_back(eigenpair(layer, measured, direction, index, detail, images));
  }
  const auto* tokens = measured.tokens;
  const bool has_rank = direction < static_cast<int64_t>(layer.effective_rank.size());
  return {
      {"eigenvalues", eigenvalues},
      {"eigenvectors", vectors},
      {"tokens", tokens != nullptr ? tokens->direction(measured.layer, direction, detail.examples) : Json()},
      {"trace", value(layer.trace, direction)},
      {"shift", value(layer.shift, direction)},
      {"frobenius", value(layer.frobenius, direction)},
      {"linear", linear_part(layer, direction)},
      {"linear_share", measured.study != nullptr ? measured.study->linear_share(direction) : Json()},
      {"effective_rank", has_rank ? short_number(layer.effective_rank[direction]) : Json()},
      {"effective_rank_error", value(layer.rank_error, direction)},
      {"converged", value(layer.converged, direction)},
      {"columns", value(layer.columns, direction)},
      {"tie_at_k", value(layer.tie, direction)},
      {"certified_bound", value(layer.bound, direction)}};
}

/// What decomposition.json itself says, checked as far as the page relies on it.
Json facts(const CheckedJson& entry) {
  return {
      {"layer", entry.size("layer")},
      {"method", entry.text("method")},
      {"solver", entry.text_or_empty("solver")},
      {"dtype", entry.text("dtype")},
      {"input_space", entry.text("input_space")},
      {"output_is", entry.text_or_empty("output_is")},
      {"directions", entry.text_or_empty("directions")},
      {"center", entry.text_or_empty("center")},
      {"d_in", entry.size("d_in")},
      {"d_hidden", entry.size("d_hidden")},
      {"d_out", entry.size("d_out")},
      {"n_directions", entry.size("n_directions")},
      {"k", entry.has("k") ? entry.size("k") : 0},
      {"mean_energy_share",
       entry.has("mean_energy_share") ? short_number(entry.number("mean_energy_share")) : Json()},
      {"worst_residual", entry.has("worst_residual") ? short_number(entry.number("worst_residual")) : Json()},
      {"converged", entry.has("converged") ? Json(entry.size("converged")) : Json()},
      {"certified", entry.has("certified") ? Json(entry.size("certified")) : Json()},
      {"seconds", entry.json().value("seconds", Json())}};
}

}  // namespace

Json layer_data(const CheckedJson& entry, const SafetensorsFile& tensors, const Study* study,
                const Corpus* corpus, const Tokens* tokens, const Detail& detail, ImagePool& images) {
  Json data = facts(entry);
  data["factors"] = factor_data(entry, tensors, detail);
  if (!data.at("factors").is_null() && !entry.has("k")) {
    data["vectors_per_sign"] = 0;
    data["shown"] = Json::array();
    return data;
  }
  const Layer layer = read_layer(entry, tensors);
  std::optional<LayerStudy> found;
  if (study != nullptr) found = study->layer(data.at("layer").get<int64_t>(), layer.n, layer.k);
  const Measured measured = {found ? &*found : nullptr, corpus, tokens, data.at("layer").get<int64_t>()};
  Json shown = Json::array();
  const auto names = entry.texts("direction_names");
  data["direction_names"] = std::vector<std::string>(
      names.begin(), names.begin() + std::min<long>(detail.directions, static_cast<long>(names.size())));
  for (int64_t i = 0; i < std::min(layer.n, detail.directions); ++i) {
    shown.push_back(direction_data(layer, measured, i, detail, images));
  }
  data["vectors_per_sign"] = detail.vectors;
  data["shown"] = shown;
  data["mean_largest"] =
      layer.k > 0 ? short_number(layer.eigenvalues.select(1, 0).abs().mean().item<double>()) : Json();
  const auto& ranks = layer.effective_rank;
  data["mean_effective_rank"] = ranks.empty()
                                    ? Json()
                                    : short_number(std::accumulate(ranks.begin(), ranks.end(), 0.0) /
                                                   static_cast<double>(ranks.size()));
  return data;
}

}  // namespace bilens::report
