#include "bilens/study/image_study.h"

#include <ATen/ATen.h>

#include "bilens/study/importance.h"
#include "bilens/study/reconstruction.h"
#include "bilens/study/truncation.h"
#include "bilens/train/image_evaluation.h"

namespace bilens {

namespace {

constexpr const char* kTest = "test";

TruncationRecord truncate_and_choose(ImageClassifier& model, const LayerDecomposition& layer,
                                     const LayerOnImages& data, const ImageDataset& images,
                                     const ImageStudy& study) {
  const auto test = truncate(layer, data, images.test.labels);
  TruncationRecord record = {test.layer, test.k, test.accuracy, test.loss, std::nullopt, std::nullopt};
  auto chosen = sufficient(test, study.evaluation->accuracy);
  if (study.validation) {
    const auto validation = truncate(layer, layer_on_images(model, images.validation, layer),
                                     images.validation.labels.to(at::kLong));
    record.validation = {validation.accuracy, validation.loss};
    chosen = sufficient(validation, study.validation->accuracy);
  }
  if (chosen) record.chosen = {test.k[*chosen], study.validation ? "validation" : kTest};
  return record;
}

/// Keeps the images that an example names, each once, and has the examples count among these.
void keep_named_images(ImageStudy& study, const ImageSplit& test) {
  std::vector<at::Tensor> named;
  for (const auto& layer : study.importance) {
    named.push_back(layer.positive_examples.flatten());
    named.push_back(layer.negative_examples.flatten());
  }
  if (named.empty()) return;
  const auto kept = std::get<0>(at::_unique2(at::cat(named)));
  auto place = at::zeros({test.size()}, at::kInt);  // among those kept, of each row of the split
  place.index_put_({kept}, at::arange(kept.numel(), at::kInt));
  study.images = test.images.index_select(0, kept);
  study.labels = test.labels.index_select(0, kept).to(at::kLong);
  for (auto& layer : study.importance) {
    layer.positive_examples = place.take(layer.positive_examples);
    layer.negative_examples = place.take(layer.negative_examples);
  }
}

}  // namespace

ImageStudy make_image_study(ImageClassifier& model, const ImageDataset& images, const std::string& dataset,
                            const Decomposition& decomposition, const ImageStudyConfig& config) {
  const auto& split = images.test;
  ImageStudy study;
  study.evaluation = evaluate_classifier(model, split);
  study.data = {dataset, kTest, study.evaluation->examples};
  if (images.validation.size() > 0) study.validation = evaluate_classifier(model, images.validation);
  for (const auto& layer : decomposition.layers) {
    const auto data = layer_on_images(model, split, layer);
    const bool gives_logits =
        layer.output_is == OutputIs::kLogits && layer.layer + 1 == model->config.n_layers;
    const auto rebuilt =
        measure_reconstruction(layer, data, gives_logits ? split.labels.to(at::kLong) : at::Tensor());
    if (rebuilt) study.reconstruction.push_back(*rebuilt);
    if (!layer.has_pairs()) continue;
    if (config.truncation && gives_logits)
      study.truncation.push_back(truncate_and_choose(model, layer, data, images, study));
    if (config.exactness) study.exactness.push_back(measure_exactness(layer, data));
    if (config.importance) study.importance.push_back(measure_importance(layer, data, config.examples));
  }
  keep_named_images(study, split);
  return study;
}

}  // namespace bilens
