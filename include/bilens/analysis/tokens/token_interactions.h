#pragma once

#include <ATen/core/Tensor.h>

namespace bilens {

/// The largest terms of one direction's form in token space. With token coordinates x = Σ_t a_t R_t,
///   xᵀQx = Σ_i a_i² R_iᵀQR_i + Σ_{i<j} a_i a_j 2R_iᵀQR_j,
/// so a pair of tokens counts with 2R_iᵀQR_j and a token by itself with R_iᵀQR_i.
struct TokenInteractions {
  at::Tensor tokens;  // [m, 2] int32, i ≤ j, by falling |value|; i = j: a token by itself
  at::Tensor values;  // [m] float64
  at::Tensor bounds;  // [m] float64: no value of Q itself is further away than this from the one given
};

/// A bound on how far R_iᵀQR_j of all of Q is from the value computed: form·‖R_i‖‖R_j‖ + row·(‖R_i‖ + ‖R_j‖).
struct InteractionError {
  double form;     // ‖Q − Σ λ_l v_l v_lᵀ‖₂, rounding included
  double row = 0;  // ‖Q‖₂ times what the rows R_t themselves may be off
};

/// The m terms of largest absolute value of Σ_{l≤k} λ_l v_l v_lᵀ, exact for that form, without the V × V
/// matrix: tokens in order of ‖(√|λ_l| R_t·v_l)_l‖, which bounds their terms, block by block until no pair
/// that is left can be among the m largest. At most V²k operations, and a block's width of memory.
/// @param projections R_t·v_l, float64 [k, V]
/// @param eigenvalues λ, float64 [k]
/// @param norms       ‖R_t‖ [V]
/// @param error       of a single term, for the bounds; NaN where none is known
TokenInteractions largest_interactions(const at::Tensor& projections, const at::Tensor& eigenvalues,
                                       const at::Tensor& norms, const InteractionError& error, int64_t count);

}  // namespace bilens
