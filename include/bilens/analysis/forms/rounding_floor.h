#pragma once

#include "bilens/analysis/eigen/eigen.h"
#include "bilens/analysis/forms/gram.h"

namespace bilens {

// What rounding alone can leave of a difference D = A − B (`BilinearLayer::parts`). It follows the size of A
// and B and not of D: below these floors nothing tells a change from none.

/// 50 eps(‖A_u‖_F + ‖B_u‖_F) for every direction u of a problem, what float64 can leave in an eigenvalue of
/// D_u: [n] float64, on the CPU; undefined where the layer is no difference. 4h²d operations for each part at
/// most.
at::Tensor rounding_floors(const EigenProblem& problem, int64_t memory_limit = kTileMemory);

/// What float64 can leave of a norm of the whole tensor that comes from a Gram matrix: √eps Σ_t ‖T_t‖ over
/// the terms that D is written as, at least 50 eps(‖A‖ + ‖B‖), norms over all directions; 0 where the layer
/// is no difference.
double gram_floor(const EigenProblem& problem, int64_t memory_limit = kTileMemory);

/// Says of a difference's eigenpairs what their `floor` means, but for clusters, which are made with it
/// (solve_eigen). A direction all of whose eigenvalues are below it did not change: they become 0, it has not
/// converged to anything, and has no energy to be shared out (NaN). Certified bounds are raised by the floor.
void apply_floor(EigenPairs& pairs);

}  // namespace bilens
