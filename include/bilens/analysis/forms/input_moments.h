#pragma once

#include <ATen/core/Tensor.h>

namespace bilens {

/// What is known of a layer's inputs x = μ + ξ: their number N, μ [d] and Σ = Σξξᵀ/N [d, d]; float64.
struct InputMoments {
  int64_t count = 0;
  at::Tensor mean, covariance;
};

/// The sums that they come from, of inputs that come some at a time.
class MomentSums {
 public:
  /// @param x [rows, d] float64
  void add(const at::Tensor& x);
  /// The moments of all inputs that were added, at least one; on the CPU.
  InputMoments finish() const;

 private:
  int64_t count_ = 0;
  at::Tensor origin_, sum_, squares_;  // sums of x − origin, which is the first inputs' mean
};

/// Σ = AAᵀ on the directions in which inputs vary: A = U√s and its inverse on these, U/√s, both [d, r];
/// float64. Others are cut.
struct CovarianceRoot {
  at::Tensor root, inverse;
  double cut = 0;  // share of the trace

  int64_t rank() const { return root.size(1); }
};

/// Directions are cut where their variance is below 1e-10 of the largest, or below what rounding of inputs of
/// this size leaves: (64 eps)² E‖x‖²/d.
/// @param epsilon of the dtype that the inputs were computed in
/// @throws Error(kBadInput) for inputs that do not vary
CovarianceRoot reveal_rank(const InputMoments& moments, double epsilon);

}  // namespace bilens
