#pragma once

#include "bilens/records/weighted_factors.h"

namespace bilens {

/// How near a weighted spectrum's terms come to a layer's outputs, over inputs that come some at a time.
class WeightedFit {
 public:
  /// @param found must outlive it
  WeightedFit(const WeightedFactors& found, at::Device device);

  /// @param x [rows, d_in] inputs @param targets [rows, n] u·y there; float64
  /// @param size [n] Σ of the squares that rounding of the targets follows (r_squared.h)
  void add(const at::Tensor& x, const at::Tensor& targets, const at::Tensor& size);

  /// Puts `variance`, `r2` and their means into what was found.
  /// @param dtype that the outputs were computed in
  void finish(WeightedFactors& found, at::ScalarType dtype) const;

  int64_t count() const { return count_; }

 private:
  void add_part(const at::Tensor& x, const at::Tensor& targets);

  at::Tensor mean_, readings_, values_, slope_, centre_;  // of the spectrum, float64 but for the readings
  at::Tensor sum_, squares_, size_, errors_;              // [n] three times, [n, k + 1]
  int64_t count_ = 0;
};

}  // namespace bilens
