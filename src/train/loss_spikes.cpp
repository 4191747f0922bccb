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
  const double limit = kDeviations * std::sqrt(variance_), excess = loss - mean_;
  const bool spike = steps_ >= kWindow && excess > limit;
  count_ += spike;
  const double step = spike ? limit : excess;
  // Equal weights at first, then exponential ones: mean and variance of what there is (West 1979).
  const double weight = 1.0 / static_cast<double>(std::min(++steps_, kWindow));
  mean_ += weight * step;
  variance_ = (1.0 - weight) * (variance_ + weight * step * step);
  return spike;
}

Json LossSpikes::state() const {
  return {{"mean", mean_}, {"variance", variance_}, {"steps", steps_}, {"count", count_}};
}

void LossSpikes::load(const Json& state) {
  *this = {};
  for (const char* key : {"mean", "variance", "steps", "count"}) {
    if (!state.is_object() || !state.contains(key) || !state.at(key).is_number()) return;
  }
  mean_ = state.at("mean"), variance_ = state.at("variance");
  steps_ = state.at("steps"), count_ = state.at("count");
}

}  // namespace bilens
