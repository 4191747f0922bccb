#pragma once

#include <ATen/core/Tensor.h>

#include "bilens/train/bilinear_fit.h"

namespace bilens {

/// What stands for the product f(z)y of each hidden unit of a gated layer, z = Wx + b and y = Vx + c:
/// (z + β)(αy + γz + δ) + κ. It is a bilinear unit with biases and a constant of its own. One number a unit,
/// real tensors [h] of one dtype.
struct BilinearUnits {
  at::Tensor gate_shift;  // β
  at::Tensor up_scale;    // α
  at::Tensor up_gate;     // γ
  at::Tensor up_shift;    // δ
  at::Tensor constant;    // κ

  /// @param z, y [n, h] @return [n, h]
  at::Tensor products(const at::Tensor& z, const at::Tensor& y) const;

  /// The layer P(f(Wx + b) ⊙ (Vx + c)) + p with these in the place of its products, in the layer's dtype: b
  /// grows by β, row and bias of V become α(V, c) + γ(W, b) and δ is added, p grows by Pκ. Rows of W and V
  /// are then scaled to equal norms, which changes no product.
  /// @param layer without biases where β, δ and κ are 0
  BilinearFactors in(const BilinearFactors& layer) const;
};

}  // namespace bilens
