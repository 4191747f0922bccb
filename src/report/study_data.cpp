#include "study_data.h"

#include <ATen/ATen.h>

#include "numbers.h"

namespace bilens::report {

namespace {

Json evaluation(const std::optional<ImageEvaluation>& result) {
  if (!result) return nullptr;
  return {{"examples", result->examples},
          {"loss", short_number(result->loss)},
          {"accuracy", short_number(result->accuracy)}};
}

Json truncation(const std::vector<TruncationRecord>& curves) {
  Json list = Json::array();
  for (const auto& curve : curves) {
    list.push_back(
        {{"layer", curve.layer},
         {"k", curve.k},
         {"accuracy", short_numbers(curve.accuracy)},
         {"loss", short_numbers(curve.loss)},
         {"validation_accuracy", curve.validation ? short_numbers(curve.validation->accuracy) : Json()},
         {"validation_loss", curve.validation ? short_numbers(curve.validation->loss) : Json()},
         {"chosen", RecordValue<std::optional<TruncationRecord::Chosen>>::write(curve.chosen)}});
  }
  return list;
}

Json exactness(const std::vector<Exactness>& statements) {
  Json list = Json::array();
  for (const auto& entry : statements) {
    list.push_back({{"layer", entry.layer},
                    {"relative_error", short_number(entry.relative_error)},
                    {"max_error", short_number(entry.max_error)}});
  }
  return list;
}

/// How much of the classifier is left when factors stand in a layer's place.
Json reconstruction(const std::vector<Reconstruction>& entries) {
  const auto number = [](const std::optional<double>& value) {
    return value ? short_number(*value) : Json();
  };
  Json list = Json::array();
  for (const auto& entry : entries) {
    const auto r2 = entry.data_r2.contiguous();
    const auto* first = r2.const_data_ptr<double>();
    list.push_back({{"layer", entry.layer},
                    {"data_r2", short_numbers({first, first + r2.numel()})},
                    {"relative_error", short_number(entry.relative_error)},
                    {"accuracy", number(entry.accuracy)},
                    {"loss", number(entry.loss)}});
  }
  return list;
}

/// Images at one end of an eigenvector; the study names some for the leading eigenvectors only.
Json examples(const ImageStudy& study, const at::Tensor& rows, const at::Tensor& projections, int64_t count,
              ImagePool& pool) {
  Json list = Json::array();
  for (int64_t i = 0; i < std::min(count, rows.size(0)); ++i) {
    const auto row = rows[i].item<int64_t>();
    list.push_back({{"image", pool.add(study.images[row].contiguous())},
                    {"label", study.labels[row].item<int64_t>()},
                    {"projection", short_number(projections[i].item<double>())}});
  }
  return list;
}

}  // namespace

Json study_summary(const ImageStudy& study) {
  return {{"data", RecordValue<std::optional<StudiedImages>>::write(study.data)},
          {"evaluation", evaluation(study.evaluation)},
          {"validation", evaluation(study.validation)},
          {"truncation", truncation(study.truncation)},
          {"exactness", exactness(study.exactness)},
          {"reconstruction", reconstruction(study.reconstruction)}};
}

Json importance_of_pair(const ImageStudy& study, const Importance& layer, int64_t direction, int64_t index,
                        int64_t max_examples, ImagePool& images) {
  const auto of = [&](const at::Tensor& rows, const at::Tensor& projections) -> Json {
    if (!rows.defined() || index >= rows.size(1)) return nullptr;
    return examples(study, rows[direction][index], projections[direction][index], max_examples, images);
  };
  Json pair = {{"positive", of(layer.positive_examples, layer.positive_projections)},
               {"negative", of(layer.negative_examples, layer.negative_projections)}};
  const auto add = [&](const char* key, const at::Tensor& matrix) {
    if (matrix.defined()) pair[key] = short_number(matrix[direction][index].item<double>());
  };
  add("mean", layer.mean_contribution), add("std", layer.std_contribution), add("data_r2", layer.data_r2);
  if (layer.std_contribution.defined())
    pair["place_by_std"] = place_by_size(layer.std_contribution[direction], index);
  return pair;
}

}  // namespace bilens::report
