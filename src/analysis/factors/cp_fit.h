#pragma once

#include <optional>
#include <vector>

#include "bilens/analysis/factors/cp.h"
#include "cp_terms.h"

namespace bilens {

struct CpFit {
  CpTerms terms;                // balanced
  std::vector<double> history;  // ‖B − M‖² from the start on; never rises by more than rounding
  double gradient = 0;          // of ½‖B − M‖², over ‖B‖ times the largest term's curvature
  CpStatus status = CpStatus::kUnfinished;

  double squared_error() const { return history.back(); }
};

/// Terms that lie nearest to a layer's tensor B: min ½‖B − M‖² over L, R and A at once, by the damped
/// Gauss–Newton method (Levenberg–Marquardt). Its linear system is solved by preconditioned conjugate
/// gradients on R×R products alone, so the layer is read once an iteration, for the gradient (Sorber, Van
/// Barel and De Lathauwer, SIAM J. Optim. 23, 2013).
/// @param squared_norm ‖B‖²
CpFit fit_cp(const BilinearLayer& layer, double squared_norm, const CpTerms& start, int64_t max_iterations,
             double tolerance);

/// How a fit and a refit of its A ended together: what a refit leaves of its optimality conditions is 1e-9 at
/// most, or nothing has converged. @param refit_residual PenalizedFit::residual; none: A was not refitted
CpStatus status_of(CpStatus fit, std::optional<double> refit_residual);

/// The best A for given L and R, A = Γ⁺K, in closed form.
at::Tensor best_outputs(const BilinearLayer& layer, const CpTerms& terms);

}  // namespace bilens
