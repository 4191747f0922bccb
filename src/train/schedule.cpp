#include "bilens/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace bilens {

double learning_rate_at(const ScheduleConfig& schedule, int64_t step) {
  const auto warmup = static_cast<double>(schedule.warmup_steps);
  const auto total = static_cast<double>(schedule.total_steps);
  const auto at = static_cast<double>(step);
  if (at < warmup) return schedule.peak * (at + 1) / warmup;
  const double f = schedule.final_rate;
  const auto falling = [&](double begin) { return std::clamp((at - begin) / (total - begin), 0.0, 1.0); };
  switch (schedule.kind) {
    case Schedule::kConstant: break;
    case Schedule::kLinear: return schedule.peak * (1.0 - (1.0 - f) * falling(warmup));
    case Schedule::kCosine:
      return schedule.peak * (f + (1.0 - f) * 0.5 * (1.0 + std::cos(std::numbers::pi * falling(warmup))));
    case Schedule::kWsd: {
      const double begin = std::max(warmup, total * (1.0 - schedule.decay_fraction));
      return at < begin ? schedule.peak : schedule.peak * (1.0 - (1.0 - f) * falling(begin));
    }
  }
  return schedule.peak;
}

}  // namespace bilens
