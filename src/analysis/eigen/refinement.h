#pragma once

#include "bilens/analysis/eigen/eigen.h"
#include "candidates.h"

namespace bilens {

/// A chunk's eigenpairs over the input, in float64 on the device.
struct Refined {
  at::Tensor vectors;    // [c, k, d]
  at::Tensor values;     // [c, k] CPU
  at::Tensor residuals;  // [c, k] CPU, norms, not relative
  at::Tensor beyond;     // [c] CPU: the λ of largest size that a probe saw outside these, or NaN
};

/// Rayleigh quotients in float64 against the weights as stored; with `mix` after a Rayleigh–Ritz step in the
/// span. @param x [c, k, d] float64
Refined refine(const InteractionOperator& exact, at::Tensor x, bool mix);

/// Orders, orients and rounds the eigenvectors into `pairs`; with residuals, gaps, clusters, all of the
/// vectors as rounded.
/// @param spectra the found values as they are, not in the scaled problem's unit
/// @param floors [c] CPU, what is not told apart whatever the solver can (rounding_floor.h), in that unit too
void write_pairs(const Refined& refined, const Candidates& found, const at::Tensor& spectra,
                 const at::Tensor& floors, const EigenConfig& config, EigenPairs& pairs);

}  // namespace bilens
