#pragma once

#include "bilens/data/image_dataset.h"
#include "bilens/dist/ranks.h"
#include "bilens/model/image_classifier.h"
#include "bilens/train/step_config.h"
#include "bilens/train/training_task.h"

namespace bilens {

/// What one standard deviation of input noise is measured in.
enum class NoiseUnit {
  kPixel,    // of pixel/255, before normalisation
  kInputStd  // of the training inputs' own standard deviation
};

struct NoiseConfig {
  double std = 0.0;
  NoiseUnit unit = NoiseUnit::kPixel;

  static const FieldTable<NoiseConfig>& fields();
};

/// How an image classifier is trained.
struct ImageTrainConfig : StepConfig {
  NoiseConfig input_noise;

  static const FieldTable<ImageTrainConfig>& fields();

  /// The last batch of an epoch may be smaller.
  int64_t steps_per_epoch(int64_t images) const { return (images + batch_size - 1) / batch_size; }
  int64_t total_steps(int64_t images) const { return steps > 0 ? steps : epochs * steps_per_epoch(images); }
};

/// Floating-point operations to train a classifier on one image.
double training_flops(const ClassifierConfig& config);

/// An image classifier with cross-entropy, on images in an order of its own each epoch.
class ImageTask : public TrainingTask {
 public:
  /// @param ranks who share each batch
  ImageTask(ImageClassifier model, const ImageDataset& data, const ImageTrainConfig& config,
            const Ranks& ranks = Ranks::one());

  NamedTensors parameters() const override;
  int64_t total_steps() const override { return config_.total_steps(train_.size()); }
  double epochs_after(int64_t steps) const override;
  TrainedOn unit() const override { return TrainedOn::kImages; }
  int64_t units_after(int64_t steps) const override;
  double flops_per_unit() const override { return training_flops(model_->config); }
  at::ScalarType compute_dtype() const override { return at::kFloat; }
  at::Tensor compute_gradients(int64_t step) override;
  std::vector<Observation> validate(int64_t step) override;
  void save_model(const std::filesystem::path& directory) const override;

 private:
  std::pair<at::Tensor, at::Tensor> batch(int64_t step);
  double noise_std() const;

  ImageClassifier model_;
  const ImageDataset& data_;
  ImageTrainConfig config_;
  const Ranks& ranks_;
  at::Device device_;
  ImageSplit train_;  // on the device
  int64_t per_epoch_ = 1;
  at::Tensor order_;  // permutation of the epoch order_epoch_
  int64_t order_epoch_ = -1;
  double noise_ = 0.0;
};

}  // namespace bilens
