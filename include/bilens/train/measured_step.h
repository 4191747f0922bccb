#pragma once

#include <functional>

#include "bilens/train/text_task.h"

namespace bilens {

/// Seconds that a step of this config takes: of the second of two that are made for it, after which the
/// parameters are not what they were.
/// @param task whose batch is what the config computes at once
double measure_step(TrainingTask& task, const TextTrainConfig& config);

/// Seconds a token that reading a text takes, of the second reading of its first window (or 2,048 tokens); 0
/// without a text.
double measure_reading(const TokenStream& part, int64_t context,
                       const std::function<void(const TokenStream&)>& read);

/// How often a run of so many steps reads the validation part.
int64_t count_validations(const TextTrainConfig& config, int64_t steps);

}  // namespace bilens
