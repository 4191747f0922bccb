#include "bilens/train/image_task.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "bilens/core/text.h"
#include "bilens/model/model_directory.h"
#include "bilens/tensor/random.h"
#include "bilens/train/image_evaluation.h"

namespace bilens {

const FieldTable<NoiseConfig>& NoiseConfig::fields() {
  using C = NoiseConfig;
  static const FieldTable<C> table =
      FieldTable<C>("Gaussian noise added to every training input.")
          .number("std", &C::std, "Standard deviation for each pixel.", at_least(0.0), "see unit")
          .choice("unit", &C::unit,
                  "\"pixel\": of pixel/255, before normalisation; \"input_std\": of the training inputs' own "
                  "standard deviation.",
                  {{"pixel", NoiseUnit::kPixel}, {"input_std", NoiseUnit::kInputStd}});
  return table;
}

const FieldTable<ImageTrainConfig>& ImageTrainConfig::fields() {
  using C = ImageTrainConfig;
  static const FieldTable<C> table = [] {
    FieldTable<C> fields("How the model is trained: AdamW on the cross-entropy.");
    return add_step_fields(fields, "images").nested("input_noise", &C::input_noise, NoiseConfig::fields());
  }();
  return table;
}

double training_flops(const ClassifierConfig& config) {
  // Forward, and twice that backward, without the gradient of the input.
  const double embed = static_cast<double>(config.d_input) * static_cast<double>(config.d_model);
  const double rest = static_cast<double>(config.parameter_count()) - embed;
  return 2 * (2 * embed + 3 * rest);
}

ImageTask::ImageTask(ImageClassifier model, const ImageDataset& data, const ImageTrainConfig& config,
                     const Ranks& ranks)
    : model_(std::move(model)),
      data_(data),
      config_(config),
      ranks_(ranks),
      device_(model_->embed->weight.device()),
      train_{data.train.images.to(device_), data.train.labels.to(device_)},
      per_epoch_(config.steps_per_epoch(data.train.size())) {
  noise_ = noise_std();
}

NamedTensors ImageTask::parameters() const {
  NamedTensors tensors;
  for (const auto& item : model_->named_parameters()) tensors.emplace_back(item.key(), item.value());
  return tensors;
}

double ImageTask::epochs_after(int64_t steps) const {
  return static_cast<double>(steps) / static_cast<double>(per_epoch_);
}

int64_t ImageTask::units_after(int64_t steps) const {
  return steps / per_epoch_ * train_.size() + steps % per_epoch_ * config_.batch_size;
}

double ImageTask::noise_std() const {
  if (config_.input_noise.std == 0.0) return 0.0;
  const double pixel = config_.input_noise.std / model_->config.pixel_std;
  if (config_.input_noise.unit == NoiseUnit::kPixel) return pixel;
  // The standard deviation of all pixels together, from their histogram: exact, and no float copy of the
  // images.
  const auto counts = at::bincount(data_.train.images.flatten().to(at::kInt), {}, 256).to(at::kDouble);
  const auto values = at::arange(256, at::kDouble) / 255.0;
  const auto mean = (counts * values).sum() / counts.sum();
  const auto variance = (counts * (values - mean).square()).sum() / counts.sum();
  return pixel * std::sqrt(variance.item<double>());
}

std::pair<at::Tensor, at::Tensor> ImageTask::batch(int64_t step) {
  const int64_t epoch = step / per_epoch_;
  if (epoch != order_epoch_) {
    const auto seed =
        derive_seed(static_cast<uint64_t>(config_.seed), "shuffle", static_cast<uint64_t>(epoch));
    order_ = at::randperm(train_.size(), make_generator(at::kCPU, seed), at::kLong).to(device_);
    order_epoch_ = epoch;
  }
  const int64_t begin = step % per_epoch_ * config_.batch_size;
  const auto index = order_.narrow(0, begin, std::min(config_.batch_size, train_.size() - begin));
  const auto& c = model_->config;
  auto inputs = to_inputs(train_.images.index_select(0, index), c.pixel_mean, c.pixel_std, device_);
  if (noise_ > 0) {
    add_gaussian_noise(
        inputs, noise_,
        derive_seed(static_cast<uint64_t>(config_.seed), "input noise", static_cast<uint64_t>(step)));
  }
  return {inputs, train_.labels.index_select(0, index)};
}

at::Tensor ImageTask::compute_gradients(int64_t step) {
  const auto [all_inputs, all_labels] = batch(step);  // with the noise of the whole batch
  const int64_t rows = all_labels.size(0);
  const int64_t begin = rows * ranks_.rank() / ranks_.count(),
                end = rows * (ranks_.rank() + 1) / ranks_.count();
  if (begin == end) {
    for (const auto& [name, parameter] : parameters())
      at::Tensor(parameter).mutable_grad() =
          at::zeros_like(parameter, parameter.options().requires_grad(false));
    return at::zeros({2}, at::device(device_).dtype(at::kFloat));
  }
  const auto labels = all_labels.slice(0, begin, end);
  const auto logits = model_(all_inputs.slice(0, begin, end));
  const double share = static_cast<double>(end - begin) / static_cast<double>(rows);
  const auto loss = at::cross_entropy_loss(logits, labels) * share;
  loss.backward();
  const auto accuracy = logits.detach().argmax(1).eq(labels).to(at::kFloat).mean() * share;
  return at::stack({loss.detach(), accuracy});
}

std::vector<TrainingTask::Observation> ImageTask::validate(int64_t /*step*/) {
  if (data_.validation.size() == 0) return {};
  const auto result = evaluate_classifier(model_, data_.validation, ranks_);
  return {{metrics_of(result, EvaluationMetrics::kValidation),
           format("validation loss %.4f, accuracy %.4f", result.loss, result.accuracy)}};
}

void ImageTask::save_model(const std::filesystem::path& directory) const {
  save_classifier(directory, model_);
}

}  // namespace bilens
