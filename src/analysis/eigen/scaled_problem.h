#pragma once

#include "bilens/analysis/eigen/eigen.h"
#include "bilens/analysis/forms/interaction.h"

namespace bilens {

/// An eigenproblem in the coordinates it is solved in. The rows of W and V of each hidden unit are divided by
/// powers of two, which go into S, so that entries of 1e±30 neither overflow nor vanish. An input map E and a
/// layer of few hidden units are reduced by the thin QR decomposition [W; V]E = (...)Aᵀ: the eigenvectors
/// over the input are A times those of the small problem, and everything orthogonal to A has eigenvalue 0.
class ScaledProblem {
 public:
  /// Directions over the input, as stored but for powers of two: what is computed from them in float64 is
  /// exact but for rounding, and of a size whose squares float64 holds.
  struct Exact {
    InteractionOperator q;
    at::Tensor exponents;  // Q as stored is 2^exponent times that: [c] float64, CPU
  };

  /// @param dtype what is solved in
  /// @throws Error(kBadInput) for weights whose ratios float64 does not hold
  ScaledProblem(const EigenProblem& stored, at::Device device, at::ScalarType dtype);

  int64_t dimension() const { return d_; }  // of the input
  int64_t rank() const { return rank_; }
  int64_t hidden() const { return stored_.layer.d_hidden(); }
  int64_t count() const { return n_; }

  Exact exact(int64_t first, int64_t count) const;

  /// The stored problem but for one power of two for all directions, whose exponent is `exponent()`.
  const EigenProblem& problem() const { return stored_; }
  double exponent() const { return exponent_; }

  /// S [c, h] float64, for the scaled units and with rows of largest entry 1, in the run's dtype.
  at::Tensor scaled(const at::Tensor& scales) const;

  /// The scaled and reduced operator of directions with such scaled S.
  InteractionOperator operators(const at::Tensor& scaled) const;

  /// The scaled and reduced [W; V] [2h, r], arranged for products with about `rows` vectors (0: as it is);
  /// operators() has no weights any more.
  PackedMatrix take_stack(int64_t rows);

  /// What eigenvalues of the scaled operators are multiples of: [c] float64.
  at::Tensor units(const at::Tensor& scales) const;

  /// Vectors in reduced coordinates [..., r] over the input: [..., d].
  at::Tensor lift(const at::Tensor& vectors) const;

  /// The part of vectors over the input [..., d] that lies in the basis, in reduced coordinates: [..., r].
  at::Tensor restrict(const at::Tensor& vectors) const;

  /// `count` orthonormal vectors on which every Q vanishes, orthogonal to the basis: [count, d]; count ≤ d −
  /// r.
  at::Tensor null_vectors(int64_t count) const;

 private:
  at::Tensor of_units(const at::Tensor& scales) const;

  EigenProblem stored_;        // on the device, each tensor brought near to 1
  double exponent_ = 0;        // of what that took out of every Q
  at::Tensor unit_exponents_;  // [h], of the product of each unit's two rows; −∞ where one is 0
  at::Tensor weights_;         // [2, h, r], run dtype; undefined once taken
  at::Tensor basis_;           // A [d, r], run dtype, orthonormal columns; undefined: the identity
  double embed_unit_ = 1;
  int64_t d_, n_, rank_;
  at::ScalarType dtype_;
};

}  // namespace bilens
