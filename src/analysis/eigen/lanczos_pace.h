#pragma once

#include <cstdint>

namespace bilens {

/// When an operator's Ritz pairs are looked at again. A check is an eigenproblem of its own, worth several
/// columns of a small layer; once the estimates fall they fall geometrically, so the next one waits until it
/// is likely to succeed. It depends on nothing but the operator, so that results do not depend on the batch.
class LanczosPace {
 public:
  LanczosPace() = default;
  explicit LanczosPace(int64_t first_check) : next_check_(first_check) {}

  /// The pace behind a restart that kept so many vectors.
  static LanczosPace behind_restart(int64_t kept);

  bool is_due(int64_t filled) const { return filled >= next_check_; }
  /// @param excess log of the worst estimate over its tolerance, at a check that did not succeed
  void set(int64_t filled, double excess);

 private:
  int64_t next_check_ = 0;
  int64_t last_check_ = 0;  // 0: none since the restart
  double excess_ = 0;       // then
};

}  // namespace bilens
