#pragma once

#include <cstdint>

namespace bilens {

enum class Schedule { kConstant, kCosine };

/// The learning rate of a step as a pure function of it: linear from 0 over the first `warmup_steps`, then
/// constant or peak·½(1 + cos πt), with t running from 0 to 1 over the steps that are left.
/// @param step counted from 0
double learning_rate_at(Schedule schedule, double peak, int64_t step, int64_t warmup_steps,
                        int64_t total_steps);

}  // namespace bilens
