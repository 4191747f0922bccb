#pragma once

#include <functional>
#include <optional>
#include <string>

#include "bilens/analysis/forms/bilinear_layer.h"

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

/// How the eigenpairs of Q_u are found. docs/methods.md says when each is best.
enum class EigenSolver {
  kAuto,     // the cheapest by plan_eigen
  kDense,    // forms Q, whole spectrum by the library's eigensolver, in float64
  kLowRank,  // for p nonzero entries of s: by QR to a dense 2p×2p problem, whole spectrum
  kLanczos,  // all directions in lockstep, Q never formed
  kFormed    // Lanczos with formed matrices
};

const char* solver_name(EigenSolver solver);
/// @throws Error(kBadInput)
EigenSolver solver_from_name(const std::string& name);

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

/// Eigenpairs of Q_u for n directions, k each. Real tensors float64 but for the eigenvectors; all on the CPU.
struct EigenPairs {
  EigenSolver solver = EigenSolver::kDense;
  at::Tensor eigenvalues;  // [n, k], by falling |λ|, positive first on ties (50 eps‖Q‖ as solved, floor)
  at::Tensor eigenvectors;  // [n, k, d], unit rows, largest component positive; the config's dtype
  at::Tensor residuals;  // [n, k], at least ‖Qv − λv‖ over the spectral norm, of the rounded vectors
  at::Tensor trace;      // [n]
  at::Tensor frobenius;  // [n]; undefined without energy
  at::Tensor weight_energy;   // [n, k], cumulative Σλ²/‖Q‖²_F; undefined without energy
  at::Tensor vector_error;    // [n, k], residual over gap (Davis–Kahan) and rounding, at most 1
  at::Tensor effective_rank;  // [n], (Σ|λ|)²/Σλ² over the whole spectrum; NaN where that is not known
  at::Tensor effective_rank_error;  // [n], standard error, 0 where exact; only with estimate_rank
  at::Tensor converged;             // [n] uint8
  at::Tensor columns;               // [n] int32, operator columns used
  at::Tensor cluster;               // [n, k] int32, the same for neighbours λ that are not told apart
  at::Tensor tie_at_k;              // [n] uint8, whether |λ_k| and |λ_(k+1)| are not told apart
  at::Tensor
      certified_bound;  // [n]: proved, at most the k listed have |λ| ≥ this; NaN: not proved; or undefined
  at::Tensor floor;  // [n], of a difference: what rounding alone can leave (rounding_floor.h); or undefined
  int64_t repaired = 0;  // directions where the probe found a missing eigenpair
  struct Seconds {
    double form = 0, solve = 0, check = 0, probe = 0, certify = 0, energy = 0;
  } seconds;

  int64_t size() const { return eigenvalues.size(0); }
  int64_t k() const { return eigenvalues.size(1); }
};

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

/// The same for all directions at once.
EigenPairs solve_eigen(const EigenProblem& problem, at::Device device, const EigenConfig& config);

}  // namespace bilens
