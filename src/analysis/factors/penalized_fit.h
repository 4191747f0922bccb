#pragma once

#include <ATen/core/Tensor.h>

namespace bilens {

struct PenalizedFit {
  at::Tensor weights;  // A [n, R]
  double residual;  // of the optimality (Karush–Kuhn–Tucker) conditions, the largest over the largest |k_ir|
};

/// min ½ aᵀΓa − k·a + μ Σ_r |a_r| for each row k of K, over all a or over a ≥ 0: a convex problem, solved to
/// optimality by an active set (Lawson and Hanson 1974; Lee et al., NIPS 2006). The weight whose sign would
/// lower the objective fastest becomes free, the free ones go to their joint minimum, and those that reach
/// zero on the way stay there. The objective falls with each set, so none comes back. With g = k − Γa the
/// optimum has
///   g_r = μ sign(a_r) where a_r ≠ 0, and |g_r| ≤ μ (over a ≥ 0: g_r ≤ μ) where a_r = 0.
/// @param gram Γ [R, R], positive semidefinite, float64
/// @param products K [n, R], in the range of Γ
PenalizedFit fit_penalized(const at::Tensor& gram, const at::Tensor& products, double mu, bool nonnegative);

}  // namespace bilens
