#pragma once

#include "bilens/analysis/forms/bilinear_layer.h"
#include "bilens/tensor/packed_matrix.h"

namespace bilens {

/// The interaction matrices of one layer for many output directions at once. For a direction u, s = Pᵀu and
///   Q_u = ½(Wᵀ diag(s) V + Vᵀ diag(s) W),   u·y = xᵀQ_u x + l·x + c
/// (arXiv 2410.08417, section 3). Q_u is symmetric and indefinite; it need not be formed to be applied.
///
/// With an input map E [d, d_input] everything is over the input: W and V stand for WE and VE, which are not
/// formed.
class InteractionOperator {
 public:
  /// @param layer kept as it is, of any float dtype
  /// @param directions U [n, m]; undefined: the identity, n = m. Its dtype is that of s = UP
  /// @param embed E [d, d_input], or undefined
  InteractionOperator(BilinearLayer layer, const at::Tensor& directions, at::Tensor embed = {});

  /// Directions `index` [c] int64 of these, in that order; the weights are shared.
  InteractionOperator select(const at::Tensor& index) const;

  /// Direction i times factor i [n].
  InteractionOperator times(const at::Tensor& factors) const;

  int64_t count() const { return scales_.size(0); }
  int64_t dimension() const { return embed_.defined() ? embed_.size(1) : layer_.d_in(); }
  const BilinearLayer& layer() const { return layer_; }
  const at::Tensor& embed() const { return embed_; }
  const at::Tensor& directions() const { return directions_; }
  const at::Tensor& scales() const { return scales_; }  // S = UP [n, h]

  /// Q_u x for c vectors of each direction, without forming Q: ½[Wᵀ(s ⊙ Vx) + Vᵀ(s ⊙ Wx)] as two matrix
  /// products over all directions and vectors. Computed in x's dtype; weights of another one are converted a
  /// tile of hidden units at a time. 8hd operations a vector.
  /// @param x [n, c, d], vectors in rows
  /// @return [n, c, d]
  at::Tensor apply(const at::Tensor& x) const;

  /// The matrices of directions first … first+count−1, exactly symmetric: [count, d, d]. 2hd² operations
  /// each.
  at::Tensor form(int64_t first, int64_t count, at::ScalarType dtype) const;

  /// tr Q_u = Σ_k s_k (w_k·v_k), exact and without forming Q: [n] float64.
  at::Tensor trace() const;

  /// The products w_k·v_k of that sum: [h] float64.
  at::Tensor unit_traces() const;

  /// l = Wᵀ(s⊙c) + Vᵀ(s⊙b), and u for a residual, over the input: [n, d].
  at::Tensor linear() const;
  /// c = s·(b⊙c) + u·p: [n].
  at::Tensor constant() const;

 private:
  at::Tensor rows(int64_t first, int64_t count, at::ScalarType dtype) const;
  int64_t tile_rows(at::ScalarType dtype) const;

  BilinearLayer layer_;
  at::Tensor embed_;
  at::Tensor directions_;  // U [n, m]
  at::Tensor scales_;      // S = UP [n, h]
};

/// ½[Wᵀ(s ⊙ Vx) + Vᵀ(s ⊙ Wx)] for c vectors of each of n directions, as two products with [W; V]: 8hd
/// operations a vector.
/// @param stack  [W; V] [2h, d]
/// @param scales S [n, h]
/// @param x      [n, c, d], vectors in rows, of the stack's dtype
/// @return [n, c, d], of any strides
at::Tensor apply_interaction(const PackedMatrix& stack, const at::Tensor& scales, const at::Tensor& x);

}  // namespace bilens
