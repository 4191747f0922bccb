#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "bilens/core/progress.h"
#include "bilens/core/stopwatch.h"
#include "bilens/dist/ranks.h"
#include "bilens/train/checkpoint.h"
#include "bilens/train/loss_spikes.h"
#include "bilens/train/metrics.h"
#include "bilens/train/step_config.h"
#include "bilens/train/tensorboard.h"
#include "bilens/train/training_task.h"

namespace bilens {

struct TrainSummary {
  int64_t steps = 0, skipped_steps = 0, loss_spikes = 0;
  double units_per_second = 0.0;  // of the steps of this process
  double last_loss = 0.0;
};

/// Makes the steps of a task: optimizer, learning rate, clipping, metrics, checkpoints. Every random number
/// is a function of the seed and the step, so a resumed run continues exactly where the checkpoint stands:
/// same seed, device and threads, same weights, bit for bit. Several processes make each step together: each
/// computes its part of the gradients, and the first one writes.
class Trainer {
 public:
  /// Continues from the newest checkpoint in `directory` when `resume`, and starts anew when there is none. A
  /// damaged one is passed over with a warning, where there is one before it.
  /// @param data what the run reads (train/data_files.h), for the checkpoints
  /// @param ranks the processes that train together; each task computes its part of a step's gradients
  /// @throws Error(kBadInput) for a checkpoint of another format or run, and where all are damaged
  Trainer(TrainingTask& task, const StepConfig& config, const CheckpointConfig& checkpoint,
          std::filesystem::path directory, bool resume, KnownDataFiles data = {},
          const Ranks& ranks = Ranks::one());

  /// @throws Stopped after a signal, with a checkpoint saved; Error(kDiverged)
  /// after ten non-finite steps in a row.
  TrainSummary run();

  /// Adds a line to metrics.jsonl, and its numbers to TensorBoard's events.
  void record(const MetricsLine& line);

 private:
  bool finished() const { return step_ >= total_; }
  bool stops();
  bool epoch_ends() const;
  bool validation_is_due() const;
  bool checkpoint_is_due() const;
  void train_step();
  void flush(Progress& progress);
  void write_step(StepMetrics metrics, Progress& progress);
  double units_per_second(int64_t step) const;
  void count_skipped(int64_t step, bool finite);
  bool validation_is_missing() const;
  void validate();
  void save();
  void aside(void (Trainer::*work)());
  void continue_from_newest();
  void take_from_first();
  void load(const Checkpoint& checkpoint);
  TrainingState read_state(const Checkpoint& checkpoint) const;
  void load_tensors(const Checkpoint& checkpoint);

  TrainingTask& task_;
  ScheduleConfig schedule_;
  StepConfig config_;
  CheckpointConfig checkpoint_config_;
  std::filesystem::path directory_;
  const Ranks& ranks_;
  KnownDataFiles data_;
  CheckpointStore checkpoints_;
  NamedTensors parameters_;
  Optimizer optimizer_;
  at::Device device_;
  std::unique_ptr<MetricsWriter> metrics_;  // these two of the first process
  std::unique_ptr<TensorBoardWriter> tensorboard_;

  int64_t step_ = 0, total_ = 0, first_step_ = 0;
  int64_t skipped_ = 0, skipped_in_a_row_ = 0;
  bool one_stops_ = false;  // as the last step told all
  LossSpikes spikes_;
  double last_loss_ = 0.0, product_rate_ = 0.0;
  Stopwatch watch_;
  double aside_ = 0;                 // seconds spent on validation and checkpoints
  std::vector<at::Tensor> pending_;  // measures and gradient norm of each step not yet written
};

}  // namespace bilens
