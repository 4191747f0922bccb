#pragma once

#include "bilens/analysis/forms/bilinear_layer.h"

namespace bilens {

/// How much of quadratic forms Q lies in a set of vectors x_1 … x_k. Components that are not orthogonal share
/// energy, so theirs are never summed: these are the energies of projections.
struct ProjectionEnergy {
  at::Tensor total;     // [n], ‖Q‖²_F
  at::Tensor diagonal;  // [n, k], of Σ_r c_r x_r x_rᵀ with the best c, for the first 1 … k vectors,
                        // qᵀ[(XXᵀ)∘²]⁻¹q with q_r = x_rᵀQx_r; over ‖Q‖²_F
  at::Tensor full;  // [n, k], ‖ΠQΠ‖²_F with Π onto the span of the first 1 … k; over ‖Q‖²_F
  at::Tensor off_diagonal;  // [n], share of the full core at k that the diagonal one leaves out
};

/// float64. Vectors that depend on those before them add nothing. Q = 0: all shares are 1, off_diagonal 0.
/// @param cores [n, k, k], XQXᵀ
/// @param grams [n, k, k], XXᵀ
/// @param total [n], ‖Q‖²_F
ProjectionEnergy projection_energy(const at::Tensor& cores, const at::Tensor& grams, const at::Tensor& total);

/// Energy of the projection onto the first 1 … k of some elements: cumulative qᵀΓ⁻¹q, summed over c. An
/// element that depends on those before it adds nothing.
/// @param gram     Γ [n, k, k], products of the elements
/// @param products q [n, k, c], of the elements with what is projected
/// @return [n, k]
at::Tensor projected_energy(const at::Tensor& gram, const at::Tensor& products);

/// numerator/denominator, and 1 for 0/0: a form that is zero is captured whole.
double energy_share(double numerator, double denominator);

}  // namespace bilens
