#pragma once

#include "bilens/train/step_config.h"
#include "bilens/train/training_task.h"

namespace bilens {

/// Seconds that a step takes which adds the gradients of `parts` batches of the task: of the second of two
/// that are made for it, after which the parameters are not what they were.
double measure_step(TrainingTask& task, const StepConfig& config, double parts);

}  // namespace bilens
