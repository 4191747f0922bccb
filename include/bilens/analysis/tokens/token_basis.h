#pragma once

#include <ATen/core/Tensor.h>

namespace bilens {

/// The rows of an embedding or unembedding matrix as vectors of the residual stream, with their mean taken
/// out: R_t = γ⊙M_t − r̄. What all tokens share changes no softmax and tells no token from another. The matrix
/// stays as it is stored; rows are converted a block at a time.
class TokenBasis {
 public:
  /// @param matrix M [V, d], of any float dtype, on the CPU
  /// @param gain γ [d] of the norm in front of an unembedding, or undefined
  explicit TokenBasis(at::Tensor matrix, const at::Tensor& gain = {});

  int64_t size() const { return matrix_.size(0); }
  int64_t dimension() const { return matrix_.size(1); }

  /// r̄ [d], float64: the mean of γ⊙M_t over all tokens.
  const at::Tensor& mean() const { return mean_; }
  /// ‖R_t‖ [V], float64.
  const at::Tensor& norms() const { return norms_; }

  /// A bound on ‖R_t as computed − R_t‖ for every token: rounding, mostly that of the mean.
  double rounding() const;

  /// R_t for some tokens, float64 [c, d]. @param ids int64 [c]
  at::Tensor rows(const at::Tensor& ids) const;

  /// R_t·v for all tokens, float64 [c, V]. @param vectors float64 [c, d]
  at::Tensor project(const at::Tensor& vectors) const;

  /// The transpose: Σ_t w_t R_t, float64 [c, d]. @param weights float64 [c, V]
  at::Tensor mix(const at::Tensor& weights) const;

 private:
  at::Tensor block(int64_t first, int64_t count) const;

  at::Tensor matrix_, gain_, mean_, norms_;
};

/// Directions drawn as a basis varies: normal with the covariance (1/V)Σ R_tR_tᵀ, then of unit length;
/// float64 [count, d].
at::Tensor random_token_directions(const TokenBasis& basis, int64_t count, uint64_t seed);

}  // namespace bilens
