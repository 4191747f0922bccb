#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bilens/io/weights.h"
#include "bilens/records/metrics.h"

namespace bilens {

/// What is trained, and on what; a Trainer makes the steps. Everything random in it is a function of the seed
/// and the step.
class TrainingTask {
 public:
  virtual ~TrainingTask() = default;

  /// Named float32 leaves that the optimizer moves.
  virtual NamedTensors parameters() const = 0;

  virtual int64_t total_steps() const = 0;
  /// Passes over the training data that the first `steps` steps make.
  virtual double epochs_after(int64_t steps) const = 0;

  /// What progress is counted in, and how many of them the first `steps` steps see.
  virtual TrainedOn unit() const = 0;
  virtual int64_t units_after(int64_t steps) const = 0;
  /// Floating-point operations of one of them, forward and backward, and the dtype of the products.
  virtual double flops_per_unit() const = 0;
  virtual at::ScalarType compute_dtype() const = 0;

  /// Leaves the gradients of a step's mean loss in the parameters, which have none before.
  /// @return that loss, and the accuracy where the task has one: float32 [1 or 2], on the device
  virtual at::Tensor compute_gradients(int64_t step) = 0;

  /// What is to be seen of the validation part, as lines of metrics.jsonl without step and epoch, and the
  /// same in words for people. Empty where there is no such part.
  struct Observation {
    std::variant<EvaluationMetrics, SampleMetrics> line;
    std::string words;
  };
  /// Tries the model on the validation part. With several processes, all call it, and the first one's result
  /// is kept.
  /// @throws Stopped, in all of them
  virtual std::vector<Observation> validate(int64_t step) = 0;

  /// Fills a directory with the model as it is.
  virtual void save_model(const std::filesystem::path& directory) const = 0;

  /// One of the parameters, as save_model has stored it. @throws Error(kBadInput) where it is not there
  virtual at::Tensor saved_parameter(const Weights& weights, const std::string& name) const {
    return weights.tensor(name);
  }
};

}  // namespace bilens
