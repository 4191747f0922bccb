#pragma once

#include "bilens/train/text_task.h"

namespace bilens {

/// Seconds that a step of this config takes: of the second of two that are made for it, after which the
/// parameters are not what they were.
/// @param task whose batch is what the config computes at once
double measure_step(TrainingTask& task, const TextTrainConfig& config);

}  // namespace bilens
