#include "bilens/train/schedule.h"

#include <cmath>
#include <numbers>

namespace bilens {

double learning_rate_at(Schedule schedule, double peak, int64_t step, int64_t warmup_steps,
                        int64_t total_steps) {
  if (step < warmup_steps) return peak * static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
  if (schedule == Schedule::kConstant) return peak;
  const double t = static_cast<double>(step - warmup_steps) / static_cast<double>(total_steps - warmup_steps);
  return peak * 0.5 * (1.0 + std::cos(std::numbers::pi * t));
}

}  // namespace bilens
