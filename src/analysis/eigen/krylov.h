#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "bilens/analysis/eigen/lanczos.h"

namespace bilens {

/// Krylov spaces of several symmetric operators of one dimension r, grown in step. Each slot has one
/// operator, orthonormal vectors b_0 … b_j that are orthogonal to the locked ones, and T = BᵀQB. The Lanczos
/// relation
///   Q b_j = β_{j−1} b_{j−1} + α_j b_j + β_j b_{j+1}
/// makes T tridiagonal; behind a restart its first rows are a diagonal with an arrow.
class KrylovSpaces {
 public:
  /// @param start [r] or [n, r], of the run's dtype @param locked [n, l, r], may be undefined
  /// @param most vectors a slot
  KrylovSpaces(int64_t n, const at::Tensor& start, const at::Tensor& locked, int64_t most);

  int64_t slots() const { return slots_; }
  int64_t filled() const { return filled_; }  // vectors whose image is known
  bool full() const { return filled_ == most_; }
  /// Whether the vectors span all that is not locked.
  bool complete() const { return filled_ == r_ - locked_; }

  /// One product for all operators, one new vector each. @param which [slots], the operators of the slots
  void step(const SymmetricOperators& q, const at::Tensor& which);

  /// T of all slots: [slots, filled, filled] float64, CPU.
  at::Tensor projected() const;
  /// The last β of each slot, which times the last entry of T's eigenvector is a Ritz pair's residual:
  /// [slots, 1] float64, CPU.
  at::Tensor last_beta() const;
  /// b_0 … b_{filled−1} of one slot.
  at::Tensor vectors(int64_t slot) const;

  /// Keeps Ritz vectors and the last residual: T becomes diag(θ) with the arrow s = β·(last row of Y).
  /// @param values θ [slots, kept] @param mix Y [slots, filled, kept]; both float64, CPU
  void restart(const at::Tensor& values, const at::Tensor& mix);

  /// Takes a slot out: the last one moves into its place.
  void remove(int64_t slot);

 private:
  at::Tensor basis(int64_t count) const;   // locked and b_0 … b_{count−1} of all slots
  at::Tensor vector(int64_t index) const;  // of all slots
  at::Tensor orthogonalize(at::Tensor& w, int64_t count) const;
  void put_random(const std::vector<int64_t>& slots, int64_t index);
  void store(const at::Tensor& alpha, const at::Tensor& w);

  const int64_t locked_, r_, most_;
  const double eps_;
  int64_t slots_;
  int64_t filled_ = 0;
  int64_t restarted_ = 0;     // Ritz vectors that the last restart kept
  std::vector<double> size_;  // of each slot: the largest |α| + β seen, a lower estimate of ‖Q‖
  at::Tensor basis_;          // [n, locked + most + 1, r]
  at::Tensor projected_;      // T [n, most, most] float64, CPU
  at::Tensor beta_;           // [slots, 1]
};

}  // namespace bilens
