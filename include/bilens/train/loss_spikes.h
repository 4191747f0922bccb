#pragma once

#include "bilens/records/training_state.h"

namespace bilens {

/// Finds steps whose loss stands out: more than 6 standard deviations above the mean of those before it, both
/// exponentially weighted over about 50 steps. A spike enters them cut to that height, so that a loss which
/// stays high becomes the new normal after a few steps.
class LossSpikes {
 public:
  /// Takes one step's loss; true when it is a spike. The first 50 steps never are.
  bool add(double loss);

  int64_t count() const { return state_.count; }

  const LossSpikeState& state() const { return state_; }
  /// @param state of state(); without one, or with one that is not finite, it starts anew
  void load(const std::optional<LossSpikeState>& state);

 private:
  LossSpikeState state_;
};

}  // namespace bilens
