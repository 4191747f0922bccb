#pragma once

#include "bilens/analysis/forms/interaction.h"

namespace bilens {

/// What a solver says of a chunk of c directions, in reduced coordinates.
struct Candidates {
  at::Tensor values;   // [c, q] float64, CPU, in the scaled problem's unit: all known eigenvalues
  at::Tensor vectors;  // [c, k', r]: those of the `chosen`
  at::Tensor chosen;   // [c, k'] int64, CPU: which of the values, by falling |λ|
  at::Tensor columns;  // [c] int32
  bool whole;          // eigenvalues that are not known are 0
};

/// The k eigenvalues of largest |λ| of each row, positive first on ties: their places [c, k] int64.
/// @param values [c, q] float64, CPU, contiguous
at::Tensor choose(const at::Tensor& values, int64_t k, double eps);

/// By the library's eigensolver from the matrices, formed in float64.
Candidates solve_dense(const InteractionOperator& q, int64_t k);

/// By the reduced problem of directions that few hidden units take part in; weights in float64.
Candidates solve_low_rank(const InteractionOperator& q, int64_t k);

}  // namespace bilens
