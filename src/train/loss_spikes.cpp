#include "bilens/train/loss_spikes.h"

#include <algorithm>
#include <cmath>

namespace bilens {

namespace {
constexpr int64_t kWindow = 50;
constexpr double kDeviations = 6.0;
}  // namespace

bool LossSpikes::add(double loss) {
  if (!std::isfinite(loss)) return false;  // such a step is skipped, and counted there
  auto& [mean, variance, steps, count] = state_;
  const double limit = kDeviations * std::sqrt(variance), excess = loss - mean;
  const bool spike = steps >= kWindow && excess > limit;
  count += spike;
  const double step = spike ? limit : excess;
  // Equal weights at first, then exponential ones: mean and variance of what there is (West 1979).
  const double weight = 1.0 / static_cast<double>(std::min(++steps, kWindow));
  mean += weight * step;
  variance = (1.0 - weight) * (variance + weight * step * step);
  return spike;
}

void LossSpikes::load(const std::optional<LossSpikeState>& state) {
  const bool usable = state && std::isfinite(state->mean) && std::isfinite(state->variance);
  state_ = usable ? *state : LossSpikeState();
}

}  // namespace bilens
