#pragma once

#include <ATen/core/Tensor.h>

#include "bilens/records/record_table.h"
#include "bilens/records/tensor_table.h"

namespace bilens {

/// How the eigenpairs of Q_u are found. docs/methods.md says when each is best.
enum class EigenSolver {
  kAuto,     // the cheapest by plan_eigen
  kDense,    // forms Q, whole spectrum by the library's eigensolver, in float64
  kLowRank,  // for p nonzero entries of s: by QR to a dense 2p×2p problem, whole spectrum
  kLanczos,  // all directions in lockstep, Q never formed
  kFormed    // Lanczos with formed matrices
};

/// Those that a file names: all but kAuto, which never found anything.
std::vector<std::pair<std::string, EigenSolver>> record_names(EigenSolver);
/// "auto", "dense", ...
std::string solver_name(EigenSolver solver);

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
  /// How many directions have a proved bound on all other eigenvalues.
  int64_t count_certified() const;
  /// Numbers of the directions whose eigenvalues rounding alone could leave, int64; none without `floor`.
  at::Tensor unchanged_directions() const;

  static const TensorTable<EigenPairs>& tensors();
};

/// Seconds of the parts of a solution, by name, and back; a name that is not there stands for 0.
NamedNumbers to_named(const EigenPairs::Seconds& seconds);
EigenPairs::Seconds seconds_from(const NamedNumbers& named);
void add_seconds(EigenPairs::Seconds& sum, const EigenPairs::Seconds& seconds);
void scale_seconds(EigenPairs::Seconds& seconds, double factor);

/// What decomposition.json says of a layer's eigenpairs.
struct PairsRecord {
  EigenSolver solver = EigenSolver::kDense;
  int64_t k = 0;
  double worst_residual = 0;
  int64_t converged = 0, certified = 0, repaired = 0;
  std::optional<std::vector<double>> effective_rank;  // nothing where it is known of no direction

  explicit PairsRecord(const EigenPairs& pairs);
  PairsRecord() = default;
  static const RecordTable<PairsRecord>& record();
};

}  // namespace bilens
