#pragma once

#include <ATen/core/Tensor.h>

#include "bilens/analysis/forms/bilinear_layer.h"

namespace bilens {

/// R terms a_r ⊗ sym(l_r r_rᵀ), sym(M) = ½(M + Mᵀ), one a row; float64. Also a direction in their space.
struct CpTerms {
  at::Tensor left, right;  // L, R [R, d]
  at::Tensor output;       // A [R, m]

  int64_t count() const { return left.size(0); }
};

CpTerms operator+(const CpTerms& x, const CpTerms& y);
CpTerms operator*(double factor, const CpTerms& x);
double dot(const CpTerms& x, const CpTerms& y);

/// ‖l_r‖ = ‖r_r‖ = ‖a_r‖, the terms unchanged.
CpTerms balance(const CpTerms& terms);

/// Γ_rs = ⟨sym(l_r r_rᵀ), sym(l_s r_sᵀ)⟩ = ½[(l_r·l_s)(r_r·r_s) + (l_r·r_s)(r_r·l_s)]: [R, R].
at::Tensor cp_gram(const CpTerms& terms);

/// K of a layer: (Bᵢ : sym(l_r r_rᵀ))_i = P ½[(Wl)⊙(Vr) + (Vl)⊙(Wr)]: [R, m].
at::Tensor contract_inputs(const BilinearLayer& layer, const CpTerms& terms);

/// Σ_i a_ri B_i r_r and Σ_i a_ri B_i l_r, one row a term, and `contract_inputs`: what ⟨B, ·⟩ is the gradient
/// with. 16hdR + 4hmR operations.
CpTerms contract(const BilinearLayer& layer, const CpTerms& terms);

/// As contract(), but of the terms' own tensor M in the place of B, from R×R products: ½∇‖M‖².
CpTerms contract_self(const CpTerms& terms);

/// JᵀJδ with J the derivative of the terms' tensor M, from R×R products: the matrix of Gauss–Newton.
/// @param direction one δ, or a batch of them, [..., R, d], [..., R, d] and [..., R, m]
CpTerms gauss_newton_product(const CpTerms& terms, const CpTerms& direction);

}  // namespace bilens
