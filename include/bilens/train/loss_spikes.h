#pragma once

#include "bilens/core/json.h"

namespace bilens {

/// Finds steps whose loss stands out: more than 6 standard deviations above the mean of those before it, both
/// exponentially weighted over about 50 steps. A spike enters them cut to that height, so that a loss which
/// stays high becomes the new normal after a few steps.
class LossSpikes {
 public:
  /// Takes one step's loss; true when it is a spike. The first 50 steps never are.
  bool add(double loss);

  int64_t count() const { return count_; }

  Json state() const;
  /// @param state of state(); anything else starts anew
  void load(const Json& state);

 private:
  double mean_ = 0.0, variance_ = 0.0;
  int64_t steps_ = 0, count_ = 0;
};

}  // namespace bilens
