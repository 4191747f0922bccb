#pragma once

#include <string>
#include <vector>

#include "bilens/analysis/eigen/eigen.h"

namespace bilens {

/// Sizes of an eigenproblem, as far as costs depend on them.
struct EigenSizes {
  int64_t n, h, d;  // directions, hidden units, input dimension
  int64_t reduced;  // dimension that is solved in: at most d, d of the MLP, 2h
  int64_t nonzero;  // most nonzero entries of an s
  int64_t k;
};

/// @param first the first direction that is still to be solved
EigenSizes eigen_sizes(const EigenProblem& problem, int64_t k);

/// What one solver would cost for one direction.
struct SolverCost {
  EigenSolver solver;
  double operations;  // multiply-adds count as two; the eigensolver's at the speed of matrix products
  int64_t bytes;      // of main or device memory, while it is in work
  bool possible;
};

struct EigenPlan {
  EigenSolver solver;
  std::vector<SolverCost> costs;  // of all solvers, cheapest first
  int64_t chunk;                  // directions at a time
  int64_t parts;                  // of a chunk, each solved on a thread of its own
  int64_t basis;                  // vectors a direction that Lanczos holds
  bool packed;                    // Lanczos has memory for weights arranged for narrow products
  bool energy;
  int64_t bytes;             // beside the stored weights, at most
  double operations;         // of everything, for all directions
  double energy_operations;  // of these, for the exact energy

  /// "lanczos: 0.9 TFLOP (dense 6.1, formed 3.2), 64 directions at a time, 213 MB"
  std::string describe() const;
};

/// The automatic choice, or the config's, with its cost. One that cannot solve the problem gives way to the
/// dense solver, which always can.
EigenPlan plan_eigen(const EigenSizes& sizes, at::Device device, const EigenConfig& config);

}  // namespace bilens
