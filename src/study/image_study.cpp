#include "bilens/study/image_study.h"

#include <ATen/ATen.h>

#include "bilens/core/files.h"
#include "bilens/io/safetensors.h"

namespace bilens {

namespace {

Json rows(const at::Tensor& matrix) {
  Json list = Json::array();
  for (int64_t i = 0; i < matrix.size(0); ++i) {
    const auto row = matrix[i].contiguous();
    list.push_back(
        std::vector<double>(row.const_data_ptr<double>(), row.const_data_ptr<double>() + row.numel()));
  }
  return list;
}

Json to_json(const ImageEvaluation& evaluation) {
  return {{"examples", evaluation.examples}, {"loss", evaluation.loss}, {"accuracy", evaluation.accuracy}};
}

Json to_json(const Truncation& truncation) {
  const auto& [test, validation, chosen] = truncation;
  Json json = {{"layer", test.layer}, {"k", test.k}, {"accuracy", test.accuracy}, {"loss", test.loss}};
  json["validation"] =
      validation ? Json{{"accuracy", validation->accuracy}, {"loss", validation->loss}} : Json();
  json["chosen"] =
      chosen ? Json{{"k", test.k[*chosen]}, {"split", validation ? "validation" : "test"}} : Json();
  return json;
}

Json to_json(const ImageStudy& study) {
  Json json = {
      {"format", "bilens-study"},
      {"format_version", 1},
      {"data", {{"dataset", study.dataset}, {"split", "test"}, {"examples", study.evaluation.examples}}},
      {"evaluation", to_json(study.evaluation)},
      {"validation", study.validation ? to_json(*study.validation) : Json()},
      {"truncation", Json::array()},
      {"exactness", Json::array()},
      {"layers", Json::array()},
      {"reconstruction", Json::array()}};
  for (const auto& truncation : study.truncation) json["truncation"].push_back(to_json(truncation));
  for (const auto& e : study.exactness) {
    json["exactness"].push_back(
        {{"layer", e.layer}, {"relative_error", e.relative_error}, {"max_error", e.max_error}});
  }
  for (const auto& i : study.importance) {
    json["layers"].push_back({{"layer", i.layer},
                              {"mean_contribution", rows(i.mean_contribution)},
                              {"std_contribution", rows(i.std_contribution)},
                              {"data_r2", rows(i.data_r2)},
                              {"linear_share", rows(i.linear_share.unsqueeze(0))[0]}});
  }
  for (const auto& r : study.reconstruction) {
    json["reconstruction"].push_back({{"layer", r.layer},
                                      {"data_r2", rows(r.data_r2.unsqueeze(0))[0]},
                                      {"relative_error", r.relative_error},
                                      {"accuracy", r.accuracy ? Json(*r.accuracy) : Json(nullptr)},
                                      {"loss", r.loss ? Json(*r.loss) : Json(nullptr)}});
  }
  return json;
}

Truncation truncate_and_choose(ImageClassifier& model, const LayerDecomposition& layer,
                               const LayerOnImages& data, const ImageDataset& images,
                               const ImageStudy& study) {
  Truncation found = {truncate(layer, data, images.test.labels), std::nullopt, std::nullopt};
  if (study.validation)
    found.validation = truncate(layer, layer_on_images(model, images.validation, layer),
                                images.validation.labels.to(at::kLong));
  found.chosen = found.validation ? sufficient(*found.validation, study.validation->accuracy)
                                  : sufficient(found.test, study.evaluation.accuracy);
  return found;
}

}  // namespace

ImageStudy make_image_study(ImageClassifier& model, const ImageDataset& images,
                            const Decomposition& decomposition, const ImageStudyConfig& config) {
  const auto& split = images.test;
  ImageStudy study;
  study.evaluation = evaluate_classifier(model, split);
  if (images.validation.size() > 0) study.validation = evaluate_classifier(model, images.validation);
  for (const auto& layer : decomposition.layers) {
    const auto data = layer_on_images(model, split, layer);
    const bool gives_logits = layer.output_is == "logits" && layer.layer + 1 == model->config.n_layers;
    const auto rebuilt =
        measure_reconstruction(layer, data, gives_logits ? split.labels.to(at::kLong) : at::Tensor());
    if (rebuilt) study.reconstruction.push_back(*rebuilt);
    if (!layer.has_pairs()) continue;
    if (config.truncation && gives_logits)
      study.truncation.push_back(truncate_and_choose(model, layer, data, images, study));
    if (config.exactness) study.exactness.push_back(measure_exactness(layer, data));
    if (config.importance) study.importance.push_back(measure_importance(layer, data, config.examples));
  }
  return study;
}

void write_image_study(const std::filesystem::path& directory, const ImageStudy& study,
                       const ImageSplit& test) {
  NamedTensors tensors;
  std::vector<at::Tensor> named;
  for (const auto& i : study.importance) {
    named.push_back(i.positive_examples.flatten());
    named.push_back(i.negative_examples.flatten());
  }
  if (!named.empty()) {
    // Only the images that an example names are kept, each once; `place` maps a row of the split to its place
    // among them.
    const auto kept = std::get<0>(at::_unique2(at::cat(named)));
    auto place = at::zeros({test.size()}, at::kInt);
    place.index_put_({kept}, at::arange(kept.numel(), at::kInt));
    tensors.emplace_back("images", test.images.index_select(0, kept));
    tensors.emplace_back("labels", test.labels.index_select(0, kept));
    for (const auto& i : study.importance) {
      const std::string prefix = "layer_" + std::to_string(i.layer) + ".";
      tensors.emplace_back(prefix + "examples.positive", place.take(i.positive_examples));
      tensors.emplace_back(prefix + "examples.negative", place.take(i.negative_examples));
      tensors.emplace_back(prefix + "projections.positive", i.positive_projections);
      tensors.emplace_back(prefix + "projections.negative", i.negative_projections);
    }
  }
  write_safetensors(directory / "study.safetensors", tensors,
                    {{"format", "bilens-study"}, {"format_version", "1"}});
  write_text(directory / "study.json", format_json(to_json(study)));
}

}  // namespace bilens
