#pragma once

#include <vector>

#include "bilens/analysis/eigen/eigen.h"
#include "bilens/analysis/eigen/projection_energy.h"
#include "bilens/analysis/factors/sparsity.h"
#include "bilens/core/fields.h"
#include "bilens/records/factors.h"

namespace bilens {

struct SparseEigenConfig {
  std::vector<int64_t> sparsity = {10};     // s, the most nonzero entries of a vector; several: a path
  int64_t k = 5;                            // components of each direction
  at::ScalarType dtype = at::kFloat;        // of the search
  int64_t starts = 8;                       // of each sign and of each of two kinds: eigenvectors, rows of Q
  int64_t max_iterations = 200;             // of one start
  int64_t memory_limit = int64_t{4} << 30;  // bytes beside the weights

  static const FieldTable<SparseEigenConfig>& fields();
};

/// k vectors of at most s nonzero entries for each of n directions, in the order they were found. float64 but
/// for the vectors, which have the config's dtype; on the CPU.
struct SparseEigenPairs {
  int64_t sparsity = 0;   // s, clipped to d
  at::Tensor values;      // [n, k], xᵀQx of the stored vectors, against the weights as stored
  at::Tensor vectors;     // [n, k, d], unit rows, largest component positive; zero rows beyond the rank
  at::Tensor objective;   // [n, k], |xᵀRx|, R being what the components before left of Q
  at::Tensor iterations;  // [n, k] int32, of the start that won
  at::Tensor converged;   // [n, k] uint8: the best vector of its support, which another step does not change
  ProjectionEnergy energy;
  Sparsity measure;       // [n, k]
  at::Tensor floor;       // [n], of a difference, in eigenvalues (rounding_floor.h); or undefined
  int64_t unchanged = 0;  // directions with no more than that: values 0, shares NaN, not converged
};

/// Sparse vectors of large |xᵀQx|, by the truncated power method (Yuan and Zhang, JMLR 14, 2013) on ±Q:
///   x ← T_s((±Q + cI)x) / ‖·‖,   T_s keeping the s largest entries,
/// in which ±xᵀQx never falls: a step that would lower it is refused and c doubled, up to ‖Q‖₂, which makes
/// the form convex. Once the support stays, x becomes the leading eigenvector of Q restricted to it. All
/// directions, signs and starts run in lockstep as one batched product; the best of them counts: a local
/// optimum, since the problem is NP-hard. Then the next component, in R = Q − Σ c_r x_r x_rᵀ with refitted
/// coefficients (orthogonal matching pursuit with rank-one matrices).
///
/// Q is formed: with hundreds of products for each direction that costs less than applying the weights.
/// Results depend neither on the order of the directions nor on how they were chunked.
/// @return one entry for each s of the config, ascending; a larger s starts also from the vectors of the
///         smaller, so that its first component is never the worse one
/// @throws Error(kBadInput) for weights that are not finite; Stopped
std::vector<SparseEigenPairs> solve_sparse_eigen(const EigenProblem& problem, at::Device device,
                                                 const SparseEigenConfig& config);

/// As it stands in the layer's file, with one line for people. @param dtype of vectors
Factors to_factors(const std::vector<SparseEigenPairs>& path, at::ScalarType dtype);

}  // namespace bilens
