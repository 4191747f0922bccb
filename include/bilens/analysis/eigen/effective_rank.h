#pragma once

#include <cstdint>

#include "bilens/analysis/eigen/eigen.h"

namespace bilens {

struct EffectiveRankConfig {
  at::ScalarType dtype = at::kFloat;  // of the products; rounding is far below the standard error
  int64_t probes = 8;                 // random vectors, at least 3
  int64_t steps = 64;                 // of Lanczos a probe, clipped to the dimension
  uint64_t seed = 0;
  int64_t memory_limit = int64_t{4} << 30;  // bytes beside the stored weights
};

/// (Σ|λ|)²/Σλ² of every direction's interaction matrix, 0 for Q = 0; both [n] float64, CPU.
struct EffectiveRank {
  at::Tensor value;
  at::Tensor standard_error;
};

/// By stochastic Lanczos quadrature (Ubaru, Chen and Saad 2017), Q never formed. For z uniform on the unit
/// sphere of dimension r, E r·zᵀf(Q)z = Σf(λ); and zᵀf(Q)z ≈ Σ_i w_i f(θ_i) with Ritz values θ of Lanczos
/// from z and squared first components w, exact for polynomials below degree 2·steps: for λ², hardly less for
/// |λ|. 8hd·steps operations a probe and direction.
///
/// The standard error is that of the probes, by the delta method; rounding and the quadrature's own error in
/// Σ|λ| (some 1/steps² where the spectrum is dense at 0) are not in it. All directions share the probes of a
/// seed: results depend neither on their order nor on the chunks.
///
/// @param squared_frobenius Σλ² where it is known (gram.h), [n], which also serves as a control variate: a
///                          much smaller error where few eigenvalues hold most of Σλ², else about the same;
///                          undefined: from the same probes
EffectiveRank effective_rank(const EigenProblem& problem, at::Device device,
                             const EffectiveRankConfig& config, const at::Tensor& squared_frobenius = {});

}  // namespace bilens
