#pragma once

#include <ATen/core/Tensor.h>

namespace bilens {

/// A bound on ‖A − LLᵀ‖₂, its own rounding included, however L came about. Costs d³/2 products.
/// @param a  [d, d] float64, symmetric: its lower half counts
/// @param l  [d, d] float64, 0 above the diagonal
/// @return NaN or infinity where an entry is
double factor_error(const at::Tensor& a, const at::Tensor& l);

/// γ_n = nu/(1 − nu), Higham's bound of n roundings in float64, doubled so that the bound's own rounding is
/// covered too.
double higham_gamma(double n);

}  // namespace bilens
