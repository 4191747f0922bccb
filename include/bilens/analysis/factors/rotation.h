#pragma once

#include <cstdint>

#include "bilens/analysis/eigen/eigen.h"
#include "bilens/analysis/eigen/projection_energy.h"
#include "bilens/analysis/factors/sparsity.h"
#include "bilens/core/fields.h"
#include "bilens/records/factors.h"

namespace bilens {

struct RotationConfig {
  int64_t starts = 8;             // the eigenvectors themselves, and random rotations of them
  int64_t max_iterations = 1000;  // of one start
  double tolerance = 1e-7;        // of the change of O in an iteration, Frobenius norm over √k
  int64_t seed = 0;

  static const FieldTable<RotationConfig>& fields();
};

/// A sparse orthonormal basis Z = OX of the span of each direction's eigenvectors X [n, k, d], float64 on the
/// CPU. Rows by falling |zᵀQz|, largest component positive.
struct RotatedBasis {
  at::Tensor vectors;          // Z [n, k, d]
  at::Tensor rotation;         // O [n, k, k], orthogonal
  at::Tensor values;           // [n, k], zᵀQz
  at::Tensor objective;        // [n], ‖Z‖₄⁴, between k/d and k
  at::Tensor start_objective;  // [n], ‖X‖₄⁴
  at::Tensor iterations;       // [n] int32, of the start that won
  at::Tensor converged;        // [n] uint8
  at::Tensor agreeing;         // [n] int32, starts that reached this objective within 1e-6 of it
  ProjectionEnergy energy;     // off_diagonal: of the core OΘOᵀ; total and shares undefined without energy
  Sparsity measure;            // [n, k]
  at::Tensor floor;            // [n], of a difference, in eigenvalues (rounding_floor.h); or undefined
  int64_t unchanged = 0;       // directions with no more than that: values 0, shares NaN, not converged
};

/// max ‖OX‖₄⁴ over orthogonal O, the quartimax criterion of factor analysis, by the polar iteration
///   O ← polar((OX)∘³Xᵀ),
/// monotone because the objective is convex (Zhai et al., JMLR 21, 2020). All directions and starts in
/// lockstep. Rotating eigenvectors of different eigenvalues makes Q's core in the new basis OΘOᵀ
/// non-diagonal: cross terms appear, and their share is `energy.off_diagonal`.
/// @throws Error(kBadInput) for numbers that are not finite; Stopped
RotatedBasis rotate_eigenspaces(const EigenPairs& pairs, at::Device device, const RotationConfig& config);

/// As it stands in the layer's file, with one line for people. @param dtype of vectors
Factors to_factors(const RotatedBasis& basis, at::ScalarType dtype);

}  // namespace bilens
