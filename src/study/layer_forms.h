#pragma once

#include "bilens/records/layer_decomposition.h"
#include "bilens/study/mlp_gains.h"

namespace bilens {

constexpr int64_t kPartBytes = int64_t{64} << 20;  // of all eigenpairs' contributions on some tokens

/// What takes a norm's gain out of its output, for a layer that it was folded into: 1 / gain [d] float64, 0
/// where the gain is 0 and W and V with it. Undefined for an undefined gain.
at::Tensor inverse_gain(const at::Tensor& gain, at::Device device);

/// The forms u·y ≈ Σ λ(v·x)² + l·x + c of a decomposed layer at tokens, float64; n directions, k eigenpairs.
class LayerForms {
 public:
  LayerForms(const LayerDecomposition& decomposition, const MlpGains& gains, at::Device device);

  int64_t directions() const { return values_.size(0); }
  int64_t pairs() const { return values_.size(1); }
  const at::Tensor& values() const { return values_; }  // [n, k]

  /// Inputs as the forms take them. @param x [tokens, d] behind the norm
  at::Tensor inputs(const at::Tensor& x) const;
  /// u·y. @param y [tokens, d_out] in front of a norm behind the MLP @return [tokens, n]
  at::Tensor outputs(const at::Tensor& y) const;
  /// Σ_j |u_j y_j|, what rounding of u·y follows.
  at::Tensor sizes(const at::Tensor& y) const;

  // These take inputs x [tokens, d].
  /// v·x of the first eigenvectors of each direction: [tokens, n first]
  at::Tensor projections(const at::Tensor& x, int64_t first) const;
  at::Tensor linear(const at::Tensor& x) const;    // l·x [tokens, n]
  at::Tensor constant(const at::Tensor& x) const;  // c [tokens, n]
  /// What is left of the form without eigenpairs: l·x + c, and shift |x|² of a form without trace.
  at::Tensor rest(const at::Tensor& x) const;
  /// λ(v·x)² of such projections: [tokens, n, first]
  at::Tensor contributions(const at::Tensor& projections) const;

  /// y with what lies in the directions' span changed so that u·y is what the first k eigenpairs give, the
  /// nearest such y: y + U⁺(ŷ − Uy).
  /// @param x [tokens, d] behind the norm @param y [tokens, d_out] @param dual see there
  at::Tensor truncated(const at::Tensor& x, const at::Tensor& y, int64_t k, const at::Tensor& dual) const;
  /// The transpose of U⁺ [n, d_out]; undefined: the identity.
  at::Tensor dual() const;

  /// U P [n, h] in P's dtype; undefined: the identity. @param down P of the layer
  at::Tensor scales(const at::Tensor& down) const;

 private:
  at::Tensor through_gain(const at::Tensor& y) const;

  at::Tensor vectors_, values_;                        // [n, k, d] as stored, [n, k]
  at::Tensor directions_, linear_, constant_, shift_;  // of the decomposition, may be undefined
  at::Tensor before_gain_;                             // [d] 1 / gain in front
  at::Tensor gain_behind_;                             // [d_out]
  at::Tensor before_gain_behind_;                      // [d_out] 1 / that gain
};

}  // namespace bilens
