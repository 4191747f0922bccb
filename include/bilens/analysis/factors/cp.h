#pragma once

#include <cstdint>
#include <optional>

#include "bilens/analysis/eigen/eigen.h"
#include "bilens/analysis/factors/sparsity.h"
#include "bilens/core/fields.h"
#include "bilens/records/factors.h"

namespace bilens {

struct CpConfig {
  int64_t rank = 16;             // R, the number of terms
  int64_t starts = 6;            // Jennrich's and random ones in turn
  int64_t max_iterations = 500;  // of each start, and again over the whole layer
  double tolerance = 1e-8;       // of the gradient, relative to ‖B‖ times the largest term's curvature
  double l1 = 0;  // weight of Σ|a_ri| beside ½‖B − M‖², as a share of the smallest that makes all a_ri zero
  bool nonnegative = false;  // a_ri ≥ 0, each term with the sign that suits it better
  int64_t seed = 0;
  at::ScalarType dtype = at::kDouble;  // in which l_r and r_r are stored, and which A therefore is for

  static const FieldTable<CpConfig>& fields();
};

/// How an iteration for the terms ended.
enum class CpStatus {
  kConverged,  // the gradient is within the tolerance
  kDiverging,  // terms that cancel each other grow without end: not every layer has a best CP
  kUnfinished
};

/// "converged", "diverging", "not converged".
const char* status_name(CpStatus status);

/// R terms of a layer's tensor, B_i ≈ Σ_r a_ri sym(l_r r_rᵀ), sym(M) = ½(M + Mᵀ); float64, on the CPU.
/// Balanced gauge: ‖l_r‖ = ‖r_r‖ = 1, both with their largest component positive (r_r's sign is free with
/// `nonnegative`), the size in a_r. A term's two
/// eigenvectors are then (l_r ± r_r)/‖·‖ with the eigenvalues a_ri (l_r·r_r ± 1)/2. By falling ‖a_r‖‖sym(l_r
/// r_rᵀ)‖.
struct CpDecomposition {
  at::Tensor left, right;   // [R, d]
  at::Tensor outputs;       // A [n, R]
  at::Tensor history;       // [iterations + 1], ‖B − M‖² over the whole layer, of the start that won
  at::Tensor start_errors;  // [≤ starts], ‖B − M‖² that each reached in the compressed layer; none
                            // after an exact one
  double objective = 0;     // ‖B − M‖² with the best A for these L and R
  double gradient = 0;      // what `tolerance` is compared with
  CpStatus status = CpStatus::kUnfinished;  // of the fit, and of the refit of A where one was asked for
  std::optional<double> refit_residual;     // of A's optimality conditions, with l1 or nonnegative
  double total = 0;                         // Σ_i ‖B_i‖²_F
  double energy = 0;  // 1 − ‖B − M‖²/‖B‖² of the stated A (L1 and non-negativity lower it)
  at::Tensor diagonal_energy;  // [R], share of the projection of all B_i onto the first 1 … R terms
  double full_energy = 0;      // share of Σ_i ‖ΠB_iΠ‖², Π onto the span of all l_r and r_r
  double off_diagonal = 0;     // share of these full cores that the terms leave out
  double condition = 0;        // of Γ over unit terms: large where terms nearly cancel each other
  double cancellation = 0;  // Σ_r ‖term r‖² over ‖M‖²: 1 where they are orthogonal, large where they cancel
  double floor = 0;                      // of a difference: what rounding can leave of the root of `total`
  bool unchanged = false;                // no more than that is there: all a_ri are 0, shares are NaN
  Sparsity left_measure, right_measure;  // [R]
  Sparsity output_measure;               // [R], over the outputs

  bool converged() const { return status == CpStatus::kConverged; }
};

/// CP decomposition of a layer from its weights, no m×d×d numbers: ⟨B, M⟩ = Σ A⊙(PK) with
/// K = ½[(WL)⊙(VR) + (VL)⊙(WR)], ‖M‖² = ⟨AᵀA, Γ⟩, best A = PKΓ⁻¹. Every start is fitted within the layer's
/// leading singular vectors (HOSVD, at most 2R inputs and R outputs, nothing lost where R terms suffice) by a
/// damped Gauss–Newton method, the best one then over the whole layer. L and R are rounded to the dtype that
/// they are stored in, and A is the best for these: with `l1` or `nonnegative` by a convex problem for each
/// output, solved to optimality. The whole problem is not convex and need not have a minimum: a local
/// optimum, or terms that diverge.
/// @throws Error(kBadInput) for weights that are not finite; Stopped
CpDecomposition decompose_cp(const EigenProblem& problem, at::Device device, const CpConfig& config);

/// As it stands in the layer's file, with one line for people. @param dtype of vectors
Factors to_factors(const CpDecomposition& cp, at::ScalarType dtype);

}  // namespace bilens
