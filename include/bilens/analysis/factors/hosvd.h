#pragma once

#include <cstdint>
#include <limits>

#include "bilens/analysis/forms/gram.h"
#include "bilens/core/fields.h"
#include "bilens/records/factors.h"

namespace bilens {

/// How many factors are kept: the fewest that reach the share of energy, at most the count.
struct HosvdConfig {
  int64_t count = std::numeric_limits<int64_t>::max();
  double energy = 1.0;  // Σσ² of those kept over ‖B‖²_F; 1 does not truncate
  int64_t memory_limit = kTileMemory;

  static const FieldTable<HosvdConfig>& fields();
};

/// One mode of the higher-order singular value decomposition (De Lathauwer, De Moor and Vandewalle 2000) of
/// the tensor B [n, d, d] whose slices are the interaction matrices of a problem's directions (all outputs,
/// where it has none): singular vectors and values of B flattened to a matrix with that mode in rows, from
/// its Gram matrix in float64, so B is never formed. A Gram matrix holds σ² to eps·σ₁²: what is below `floor`
/// = √eps·σ₁ is not resolved. k factors are kept; k ≥ 1. Everything float64, on the weights' device.
struct Hosvd {
  at::Tensor vectors;          // [k, n] or [k, d], orthonormal rows, largest component positive
  at::Tensor singular_values;  // σ [k], falling
  at::Tensor energy;  // [k], cumulative Σσ² over ‖B‖²_F; 1 for B = 0. Of a difference those above the
                      // floor alone count; NaN without any: no change
  double squared_norm = 0;  // ‖B‖²_F
  double discarded = 0;     // Σσ² of the factors that are not kept
  double floor = 0;         // √eps·σ₁; of a difference at least gram_floor (rounding_floor.h)
  int64_t resolved = 0;     // of the factors kept, those above the floor
};

/// The output mode, from the Gram matrix S G Sᵀ [n, n]. B = Σ σ_k c_k ⊗ R_k with c_k the vectors and R_k
/// orthonormal matrices: R_k = Q_u/σ_k for the direction u = Uᵀc_k (c_k itself where U is the identity),
/// whose eigenvectors the eigen-solver finds. 4h²d + nh² + 2n²h operations, 16n² bytes beside the result.
/// @throws Error(kBadInput) for weights that are not finite; Stopped
Hosvd output_hosvd(const EigenProblem& problem, const HosvdConfig& config);

/// The input mode, from Σ_u Q_u² [d, d]; Q_u being symmetric, both input modes are this one. With Π the
/// projector on the vectors kept,
///   discarded ≤ ‖B − ΠBΠ‖²_F ≤ 2·discarded   (ΠBΠ: every slice Q_u replaced by ΠQ_uΠ).
/// 8h²d + nh² + 4hd² operations, 24d² bytes beside the result. @throws as output_hosvd
Hosvd input_hosvd(const EigenProblem& problem, const HosvdConfig& config);

/// As it stands in the layer's file, with one line for people. @param dtype of vectors
Factors to_factors(const Hosvd& output, const Hosvd& input, at::ScalarType dtype);

}  // namespace bilens
