#pragma once

#include "bilens/analysis/bilinear_layer.h"

namespace bilens {

/// The interaction matrices of one layer for many output directions at once. For a direction u, s = Pᵀu and
///   Q_u = ½(Wᵀ diag(s) V + Vᵀ diag(s) W),   u·y = xᵀQ_u x + l·x + c
/// (arXiv 2410.08417, section 3). Q_u is symmetric and indefinite; it need not be formed to be applied.
class InteractionOperator {
 public:
  /// @param layer dtype and device of all that follows
  /// @param directions U [n, m] of the layer's dtype and device; undefined: the identity, n = m
  InteractionOperator(BilinearLayer layer, const at::Tensor& directions);

  int64_t count() const { return scales_.size(0); }
  int64_t dimension() const { return layer_.d_in(); }
  const BilinearLayer& layer() const { return layer_; }

  /// Q_u X for each direction, without forming Q: ½[Wᵀ(s ⊙ VX) + Vᵀ(s ⊙ WX)].
  /// @param x [n, d, c]
  /// @return [n, d, c]
  at::Tensor apply(const at::Tensor& x) const;

  /// The matrices of directions first … first+count−1, exactly symmetric: [count, d, d].
  at::Tensor form(int64_t first, int64_t count) const;

  /// tr Q_u = Σ_k s_k (w_k·v_k), exact and without forming Q: [n].
  at::Tensor trace() const;

  /// ‖Q_u‖²_F = sᵀGs with G = ½[(WWᵀ)⊙(VVᵀ) + (WVᵀ)⊙(VWᵀ)], h×h, without forming Q: [n].
  at::Tensor squared_frobenius() const;

  /// l = Wᵀ(s⊙c) + Vᵀ(s⊙b), and u for a residual: [n, d].
  at::Tensor linear() const;
  /// c = s·(b⊙c) + u·p: [n].
  at::Tensor constant() const;

 private:
  BilinearLayer layer_;
  at::Tensor directions_;  // U [n, m]
  at::Tensor scales_;      // S = U P [n, h]
};

/// The matrix G of two layers over one input space, [h_a, h_b]: ⟨Q_a, Q_b⟩_F = s_aᵀ G s_b.
at::Tensor interaction_gram(const BilinearLayer& a, const BilinearLayer& b);

}  // namespace bilens
