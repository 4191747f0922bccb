#pragma once

#include <cstdint>

#include "bilens/analysis/eigen/eigen.h"
#include "bilens/analysis/factors/sparsity.h"
#include "bilens/core/fields.h"
#include "bilens/records/factors.h"

namespace bilens {

struct JointConfig {
  int64_t k = 10;                 // basis vectors, at most d
  int64_t starts = 4;             // each from the eigenvectors of a random mixture of the outputs
  int64_t max_iterations = 2000;  // of one start
  double tolerance = 1e-7;        // of the gradient along the constraint, relative to the whole gradient
  int64_t seed = 0;

  static const FieldTable<JointConfig>& fields();
};

/// One orthonormal basis for all n directions, in which their matrices B_i are as nearly diagonal as
/// possible. float64, on the CPU. Rows by falling ‖(v_rᵀB_iv_r)_i‖, largest component positive.
struct JointBasis {
  at::Tensor vectors;  // V [k, d]
  at::Tensor values;   // [n, k], v_rᵀB_iv_r: the diagonals of all cores, and the layer's outputs at v_r
  at::Tensor history;  // [iterations + 1], the objective of the start that won; never falls
  at::Tensor start_objectives;  // [starts], what each start reached
  double objective = 0;         // Σ_{i,r}(v_rᵀB_iv_r)²
  double gradient = 0;          // what `tolerance` is compared with
  bool converged = false;
  double total = 0;            // Σ_i ‖B_i‖²_F
  at::Tensor diagonal_energy;  // [k], share of the diagonal cores in `total`, first 1 … k vectors
  double full_energy = 0;      // share of the full cores, Σ_i ‖VB_iVᵀ‖²_F
  double off_diagonal = 0;     // share of the full cores that is not on their diagonals
  double floor = 0;            // of a difference: what rounding can leave of the root of `total`
  bool unchanged = false;      // no more than that is there; shares are NaN, nothing converged
  Sparsity measure;            // [k]
};

/// Joint diagonalisation: max f(V) = Σ_{i,r}(v_rᵀB_iv_r)² = Σ_r ‖layer(v_r)‖² over orthonormal rows. The
/// gradient is that of the layer, ∇f_r = 4Q_{u_r}v_r with u_r = layer(v_r), so no B_i is formed:
///   V ← polar(∇f + cV),
/// 8hdk + 4nhk operations. f alone is not convex; c is doubled until a step does not lower f, and halved
/// after each that went well. A start is the eigenbasis of a random mixture of the B_i, which is the answer
/// when the B_i commute (and one d×d matrix that is formed); the 2k vectors with the largest ‖layer(v)‖
/// settle for some iterations, and k of them go on.
/// @throws Error(kBadInput) for weights that are not finite; Stopped
JointBasis diagonalize_jointly(const EigenProblem& problem, at::Device device, const JointConfig& config);

/// As it stands in the layer's file, with one line for people. @param dtype of vectors
Factors to_factors(const JointBasis& basis, at::ScalarType dtype);

}  // namespace bilens
