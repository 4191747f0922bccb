#include "layer_data.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/tensor/shape.h"
#include "encode.h"
#include "factor_data.h"
#include "numbers.h"
#include "study_data.h"
#include "token_data.h"

namespace bilens::report {

namespace {

/// An element of a tensor [n] or [n, k]; null where the file has no such tensor.
Json value(const at::Tensor& tensor, int64_t direction) {
  return tensor.defined() ? short_number(tensor[direction].item<double>()) : Json();
}

Json value(const at::Tensor& tensor, int64_t direction, int64_t index) {
  return tensor.defined() ? short_number(tensor[direction][index].item<double>()) : Json();
}

Json spectrum(const EigenPairs& pairs, int64_t direction) {
  const auto row = pairs.eigenvalues[direction].contiguous();
  return short_numbers({row.const_data_ptr<double>(), row.const_data_ptr<double>() + row.numel()});
}

/// Indices of the leading `count` eigenvalues of each sign, in the order of the spectrum; zero has no sign.
std::vector<int64_t> leading(const at::Tensor& eigenvalues, int64_t count) {
  std::vector<int64_t> indices;
  int64_t positive = 0, negative = 0;
  const auto row = eigenvalues.contiguous();
  for (int64_t i = 0; i < row.numel(); ++i) {
    const double eigenvalue = row.const_data_ptr<double>()[i];
    if ((eigenvalue > 0 && positive++ < count) || (eigenvalue < 0 && negative++ < count))
      indices.push_back(i);
  }
  return indices;
}

/// What the studies have of this layer; null where there is nothing.
struct Measured {
  const Importance* importance = nullptr;
  const TokenLayer* tokens = nullptr;
};

Json eigenpair(const LayerPart& part, const Measured& measured, int64_t direction, int64_t index,
               const Detail& detail, ImagePool& images) {
  const auto& pairs = part.layer.pairs;
  Json pair = quantised(pairs.eigenvectors[direction][index]);
  pair["index"] = index;
  pair["weight_energy"] = value(pairs.weight_energy, direction, index);
  pair["residual"] = value(pairs.residuals, direction, index);
  pair["vector_error"] = value(pairs.vector_error, direction, index);
  if (measured.importance != nullptr)
    pair.update(
        importance_of_pair(*part.study, *measured.importance, direction, index, detail.examples, images));
  if (part.corpus != nullptr)
    pair.update(part.corpus->eigenpair(part.layer.layer, direction, index, detail.examples));
  if (measured.tokens != nullptr)
    pair["tokens"] = tokens_of_pair(*part.tokens, *measured.tokens, direction, index, detail.examples);
  return pair;
}

Json linear_part(const LayerDecomposition& layer, int64_t direction) {
  if (!layer.linear.defined()) return nullptr;
  const auto vector = layer.linear[direction];
  Json data = quantised(vector);
  data["norm"] = short_number(vector.norm().item<double>());
  data["constant"] = value(layer.constant, direction);
  return data;
}

Json direction_data(const LayerPart& part, const Measured& measured, int64_t direction, const Detail& detail,
                    ImagePool& images) {
  const auto& pairs = part.layer.pairs;
  Json vectors = Json::array();
  for (const int64_t index : leading(pairs.eigenvalues[direction], detail.vectors))
    vectors.push_back(eigenpair(part, measured, direction, index, detail, images));
  const auto* importance = measured.importance;
  return {{"eigenvalues", spectrum(pairs, direction)},
          {"eigenvectors", vectors},
          {"tokens", measured.tokens != nullptr
                         ? tokens_of_direction(*part.tokens, *measured.tokens, direction, detail.examples)
                         : Json()},
          {"trace", value(pairs.trace, direction)},
          {"shift", value(part.layer.shift, direction)},
          {"frobenius", value(pairs.frobenius, direction)},
          {"linear", linear_part(part.layer, direction)},
          {"linear_share", importance != nullptr ? value(importance->linear_share, direction) : Json()},
          {"effective_rank", value(pairs.effective_rank, direction)},
          {"effective_rank_error", value(pairs.effective_rank_error, direction)},
          {"converged", value(pairs.converged, direction)},
          {"columns", value(pairs.columns, direction)},
          {"floor", value(pairs.floor, direction)},
          {"tie_at_k", value(pairs.tie_at_k, direction)},
          {"certified_bound", value(pairs.certified_bound, direction)}};
}

/// What the studies have of a layer with eigenpairs. @throws Error(kBadInput) where it is of another size
Measured measured_of(const LayerPart& part) {
  Measured measured;
  const int64_t n = part.layer.pairs.size(), k = part.layer.pairs.k();
  const std::string where = "the study of layer " + std::to_string(part.layer.layer) + ": ";
  if (part.study != nullptr)
    for (const auto& importance : part.study->importance)
      if (importance.layer == part.layer.layer) measured.importance = &importance;
  if (part.tokens != nullptr)
    for (const auto& tokens : part.tokens->layers)
      if (tokens.layer == part.layer.layer) measured.tokens = &tokens;
  if (measured.importance != nullptr) {
    const auto& of = *measured.importance;
    for (const auto* matrix : {&of.mean_contribution, &of.std_contribution, &of.data_r2})
      if (matrix->defined()) require_shape(*matrix, {n, k}, where + "contributions");
    if (of.linear_share.defined()) require_shape(of.linear_share, {n}, where + "linear_share");
    if (of.positive_examples.defined()) require_shape(of.positive_examples, {n, -1, -1}, where + "examples");
  }
  if (measured.tokens != nullptr)
    require_shape(measured.tokens->eigenvectors.embedding.ids, {n, k, 2, -1}, where + "cards");
  return measured;
}

}  // namespace

Json layer_data(const LayerPart& part, const Detail& detail, ImagePool& images) {
  const auto& [layer, record, study, corpus, tokens] = part;
  Json data = LayerRecord::record().write(record);
  data.erase("effective_rank");  // stands with each direction
  data["worst_residual"] = record.pairs ? short_number(record.pairs->worst_residual) : Json();
  data["mean_energy_share"] = record.mean_energy_share ? short_number(*record.mean_energy_share) : Json();
  data["factors"] = layer.factors ? factor_data(layer, detail) : Json();
  data["k"] = layer.has_pairs() ? layer.pairs.k() : 0;
  data["vectors_per_sign"] = layer.has_pairs() ? detail.vectors : 0;
  data["shown"] = Json::array();
  if (!layer.has_pairs()) return data;
  require_finite(layer.pairs.eigenvalues, layer_file_name(layer.layer) + ": eigenvalues");
  const auto& names = layer.direction_names;
  data["direction_names"] = std::vector<std::string>(
      names.begin(), names.begin() + std::min<long>(detail.directions, static_cast<long>(names.size())));
  const auto measured = measured_of(part);
  Json shown = Json::array();
  for (int64_t i = 0; i < std::min(layer.count(), detail.directions); ++i)
    shown.push_back(direction_data(part, measured, i, detail, images));
  data["shown"] = shown;
  const auto mean = [](const at::Tensor& values) { return short_number(values.mean().item<double>()); };
  data["mean_largest"] = layer.pairs.k() > 0 ? mean(layer.pairs.eigenvalues.select(1, 0).abs()) : Json();
  const auto& ranks = layer.pairs.effective_rank;
  data["mean_effective_rank"] = ranks.defined() ? mean(ranks) : Json();
  return data;
}

}  // namespace bilens::report
