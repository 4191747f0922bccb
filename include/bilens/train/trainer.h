#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "bilens/core/progress.h"
#include "bilens/data/image_dataset.h"
#include "bilens/model/image_classifier.h"
#include "bilens/train/adamw.h"
#include "bilens/train/checkpoint.h"
#include "bilens/train/metrics.h"
#include "bilens/train/schedule.h"

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

struct TrainConfig {
  int64_t epochs = 20;
  int64_t steps = 0;
  int64_t batch_size = 2048;
  double learning_rate = 1e-3;
  double weight_decay = 0.5;
  double beta1 = 0.9;
  double beta2 = 0.999;
  Schedule schedule = Schedule::kCosine;
  int64_t warmup_steps = 0;
  double clip_norm = 0.0;
  NoiseConfig input_noise;
  int64_t seed = 42;

  static const FieldTable<TrainConfig>& fields();

  int64_t steps_per_epoch(int64_t images) const { return (images + batch_size - 1) / batch_size; }
  int64_t total_steps(int64_t images) const { return steps > 0 ? steps : epochs * steps_per_epoch(images); }

  /// Contradictions with each other and with the data.
  void check(int64_t images, std::vector<Problem>& problems) const;
};

struct TrainSummary {
  int64_t steps = 0, skipped_steps = 0;
  double images_per_second = 0.0;  // of the steps of this process
  double last_loss = 0.0;
};

/// Trains an image classifier with cross-entropy. Every random number is a function of the seed and the step,
/// so a resumed run continues exactly where the checkpoint stands: same seed, device and threads, same
/// weights, bit for bit.
class ImageTrainer {
 public:
  /// Continues from the newest checkpoint in `directory` when `resume`, and starts anew when there is none.
  ImageTrainer(ImageClassifier model, const ImageDataset& data, TrainConfig config,
               CheckpointConfig checkpoint, std::filesystem::path directory, bool resume);

  /// @throws Stopped after a signal, with a checkpoint saved; Error(kDiverged) after ten non-finite steps in
  /// a row.
  TrainSummary run();

  MetricsWriter& metrics() { return *metrics_; }

 private:
  bool finished() const { return step_ >= total_; }
  std::pair<at::Tensor, at::Tensor> batch();
  void train_step();
  void flush(Progress& progress);
  void end_epoch();
  void save();
  void load(const Checkpoint& checkpoint);
  double noise_std() const;

  ImageClassifier model_;
  const ImageDataset& data_;
  TrainConfig config_;
  CheckpointConfig checkpoint_config_;
  std::filesystem::path directory_;
  CheckpointStore checkpoints_;
  AdamW optimizer_;
  std::unique_ptr<MetricsWriter> metrics_;

  at::Device device_;
  ImageSplit train_;  // on the device
  at::Tensor order_;  // permutation of the epoch order_epoch_
  int64_t order_epoch_ = -1;
  double noise_ = 0.0;

  int64_t step_ = 0, total_ = 0, per_epoch_ = 0;
  int64_t skipped_ = 0, skipped_in_a_row_ = 0;
  double last_loss_ = 0.0;
  std::vector<at::Tensor> pending_;  // [loss, accuracy, gradient norm] of each step not yet written
};

}  // namespace bilens
