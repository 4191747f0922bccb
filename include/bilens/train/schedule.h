#pragma once

#include <cstdint>

namespace bilens {

enum class Schedule { kConstant, kLinear, kCosine, kWsd };

/// The learning rate of a step, as a pure function of it.
struct ScheduleConfig {
  Schedule kind = Schedule::kCosine;
  double peak = 1e-3;
  int64_t warmup_steps = 0;
  int64_t total_steps = 1;
  double final_rate = 0.0;      // share of the peak that the rate falls to
  double decay_fraction = 0.2;  // wsd: share of the steps at the end in which it falls
};

/// Linear from 0 over the first `warmup_steps`. Then, with t running from 0 to 1 over the steps that are left
/// and f = final_rate:
///   constant  peak                       linear  peak·(1 − (1 − f)t)
///   cosine    peak·(f + (1 − f)½(1 + cos πt))
///   wsd       peak, and linear to f·peak over the last decay_fraction of all steps (warm-up, stable, decay;
///             arXiv 2404.06395, section 4)
/// @param step counted from 0
double learning_rate_at(const ScheduleConfig& schedule, int64_t step);

}  // namespace bilens
