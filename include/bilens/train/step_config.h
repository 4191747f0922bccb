#pragma once

#include "bilens/core/fields.h"
#include "bilens/train/optimizer.h"
#include "bilens/train/schedule.h"

namespace bilens {

/// What every training run chooses, whatever the model: how long, how fast, how random.
struct StepConfig {
  int64_t epochs = 20;
  int64_t steps = 0;
  int64_t batch_size = 2048;
  double learning_rate = 1e-3;
  double weight_decay = 0.5;
  double beta1 = 0.9;
  double beta2 = 0.999;
  Schedule schedule = Schedule::kCosine;
  int64_t warmup_steps = 0;
  double final_rate = 0.0;
  double decay_fraction = 0.2;
  double clip_norm = 0.0;
  int64_t validate_every = 0;
  int64_t seed = 42;
  // choices of language models
  Algorithm algorithm = Algorithm::kAdamW;
  at::ScalarType moments = at::kFloat;

  OptimizerConfig optimizer() const {
    return {algorithm, {beta1, beta2, 1e-8, weight_decay, moments, static_cast<uint64_t>(seed)}};
  }
  ScheduleConfig schedule_over(int64_t total_steps) const {
    return {schedule, learning_rate, warmup_steps, total_steps, final_rate, decay_fraction};
  }

  /// Contradictions with each other and with the data. @param where they stand in the config
  /// @param examples what the training data holds of them @param what they are ("images", "sequences")
  void check(const std::string& where, int64_t examples, const std::string& what, int64_t total_steps,
             std::vector<Problem>& problems) const;
};

/// Adds these keys to the table of a struct that extends StepConfig. @param examples what a batch counts
template <class C>
FieldTable<C>& add_step_fields(FieldTable<C>& table, const std::string& examples) {
  Schedule C::*const schedule = &C::schedule;
  return table.integer("epochs", &C::epochs, "Passes over the training data.", between(1, 1e6), "epochs")
      .integer("steps", &C::steps, "Number of steps; 0: as many as the epochs have.", between(0, 1e9),
               "steps")
      .integer("batch_size", &C::batch_size, "What one step takes.", between(1, 1e7), examples)
      .number("learning_rate", &C::learning_rate, "Peak learning rate.", more_than(0.0))
      .number("weight_decay", &C::weight_decay, "Decoupled weight decay of the matrices.", at_least(0.0))
      .number("beta1", &C::beta1, "Decay of the first moment.", between(0.0, 0.9999999))
      .number("beta2", &C::beta2, "Decay of the second moment.", between(0.0, 0.9999999))
      .choice("schedule", schedule,
              "Learning rate after the warm-up; \"wsd\" stays at the peak and falls at the end.",
              {{"cosine", Schedule::kCosine},
               {"linear", Schedule::kLinear},
               {"constant", Schedule::kConstant},
               {"wsd", Schedule::kWsd}})
      .integer("warmup_steps", &C::warmup_steps, "Steps of linear warm-up.", between(0, 1e9), "steps")
      .number("final_rate", &C::final_rate, "Share of the peak rate that the schedule falls to.",
              between(0.0, 1.0))
      .number("decay_fraction", &C::decay_fraction,
              "\"wsd\": share of all steps, at the end, in which the rate falls.", between(0.0, 1.0))
      .number("clip_norm", &C::clip_norm, "Largest joint gradient norm; 0: no clipping.", at_least(0.0))
      .integer("validate_every", &C::validate_every,
               "Steps between looks at the validation part; 0: at the end of each epoch.", between(0, 1e9),
               "steps")
      .integer("seed", &C::seed, "Seed of every random number.", between(0, 9e15));
}

}  // namespace bilens
