#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace bilens {

/// Solutions of many small least-squares problems, float64.
struct SmallFits {
  at::Tensor coefficients;  // [n, p], and [n, p + 1] with a constant, which comes last
  at::Tensor error;         // [n]: Σ w(t − t̂)²
};

/// Least squares of n targets, each by p features of its own, from their Gram matrices Σ w(φ, t)(φ, t)ᵀ. The
/// constant is taken out first and all features are scaled to one size. What the data do not determine is
/// left at 0: a feature that does not vary, and the directions in which the scaled features have less than
/// 1e-10 of their second moment, where sums of roundings would decide.
/// @param grams float64 [n, p + 1, p + 1] on the CPU, the target last; with a constant feature in front of it
/// [n, p + 2, p + 2]
/// @throws Error(kBadInput), naming `where`, for sums that are not finite
SmallFits fit_grams(const at::Tensor& grams, bool has_constant, const std::string& where);

}  // namespace bilens
