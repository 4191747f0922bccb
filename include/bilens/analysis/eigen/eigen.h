#pragma once

#include <functional>
#include <optional>
#include <string>

#include "bilens/analysis/forms/bilinear_layer.h"
#include "bilens/records/eigen_pairs.h"

namespace bilens {

/// A layer with output directions, as stored.
struct EigenProblem {
  BilinearLayer layer;    // any float dtype
  at::Tensor embed;       // E [d, d_input]: then everything is over the input; or undefined
  at::Tensor directions;  // U [n, m], or undefined for the identity

  int64_t dimension() const { return embed.defined() ? embed.size(1) : layer.d_in(); }
  int64_t count() const { return directions.defined() ? directions.size(0) : layer.d_out(); }

  EigenProblem on(at::Device device) const;  // each tensor in its own dtype
};

enum class Energy { kAuto, kExact, kOff };

struct EigenConfig {
  int64_t k = 10;  // clipped to the dimension
  at::ScalarType dtype = at::kFloat;
  EigenSolver solver = EigenSolver::kAuto;
  std::optional<double> tolerance;          // of residuals; default 5e-6 in float32, 1e-10 in float64
  bool probe = true;                        // of what a Lanczos solver may have missed, with repair
  bool certify = false;                     // proves a bound on all other eigenvalues
  Energy energy = Energy::kAuto;            // auto: with all but lanczos, or n ≥ h/8
  bool estimate_rank = false;               // the effective rank, where the spectrum does not tell it
  int64_t memory_limit = int64_t{4} << 30;  // bytes beside the stored weights
};

/// Residuals below this are converged.
double residual_tolerance(const EigenConfig& config);

/// Takes the eigenpairs of directions first … as they finish, in order.
using EigenSink = std::function<void(int64_t first, const EigenPairs& pairs)>;

/// Eigenpairs of largest |λ| of every direction from `first` on, in chunks that fit the memory limit, each
/// result computed in float64 from the weights as stored. Lanczos results are refined there by a
/// Rayleigh–Ritz step, then the operator without them is probed with a random start, and what turns up is
/// added. Results depend neither on the chunks nor on the order of the directions. Of a difference,
/// directions without change are named (rounding_floor.h).
/// @throws Error(kBadInput) for weights that are not finite; Stopped. Not converging is a status.
void solve_eigen(const EigenProblem& problem, at::Device device, const EigenConfig& config, int64_t first,
                 const EigenSink& sink);

/// Solves all directions at once.
EigenPairs solve_eigen(const EigenProblem& problem, at::Device device, const EigenConfig& config);

}  // namespace bilens
