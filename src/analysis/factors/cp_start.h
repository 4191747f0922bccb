#pragma once

#include "cp_terms.h"

namespace bilens {

/// A layer seen through the leading singular vectors of its modes (HOSVD): y' = O y(Iᵀx').
struct CompressedLayer {
  BilinearLayer layer;  // over d' inputs, with m' outputs
  at::Tensor inputs;    // I [d', d], orthonormal rows
  at::Tensor outputs;   // O [m', m], orthonormal rows
};

/// Keeps what R terms can need: at most 2R inputs and R outputs, fewer where the rest is zero or below the
/// floor of the norms that the layer is known to. A tensor of R terms stays whole.
CompressedLayer compress(const BilinearLayer& layer, int64_t terms, double floor);

/// Terms of a compressed layer as terms of the layer itself.
CpTerms expand(const CompressedLayer& compressed, const CpTerms& terms);

/// Jennrich's algorithm (Leurgans, Ross and Abel, SIAM J. Matrix Anal. 14, 1993) for terms sym(l rᵀ): two
/// random mixtures of the outputs B_u = CD_uCᵀ, B_v = CD_vCᵀ share the columns C, so B_uB_v⁻¹ has the
/// eigenvalue (u·a_r)/(v·a_r) on span{l_r, r_r}: once where l_r = ±r_r, else twice. The nearest eigenvalues
/// are paired; in a pair's plane the form is sym(l rᵀ) itself. Exact for R terms in general position with
/// d ≤ 2R; else a start.
CpTerms jennrich(const BilinearLayer& compressed, int64_t terms, uint64_t seed);

/// Standard normal L and R of unit rows, and the best A for them.
CpTerms random_terms(const BilinearLayer& layer, int64_t terms, uint64_t seed);

}  // namespace bilens
