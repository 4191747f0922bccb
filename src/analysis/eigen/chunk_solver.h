#pragma once

#include <optional>

#include "bilens/analysis/eigen/eigen.h"
#include "bilens/analysis/eigen/eigen_plan.h"
#include "bilens/analysis/eigen/lanczos.h"
#include "bilens/core/stopwatch.h"
#include "bilens/tensor/packed_matrix.h"
#include "candidates.h"
#include "refinement.h"
#include "scaled_problem.h"

namespace bilens {

/// Solves the directions of one problem chunk by chunk: candidates in the scaled problem, refined against the
/// weights as stored, probed for what is missing, on request proved. Whole spectra are found in float64,
/// whatever the run's dtype: float32 would tell neighbours in a cluster apart to 1e-7 only, and no k vectors
/// of it span the right space where the cut goes through one.
class ChunkSolver {
 public:
  /// Config and plan must outlive it. @param watch since the job began: what was done before counts as
  /// preparation
  ChunkSolver(const EigenProblem& problem, at::Device device, const EigenConfig& config,
              const EigenPlan& plan, Stopwatch watch);

  int64_t count() const { return scaled_.count(); }
  /// What came before the first chunk.
  const EigenPairs::Seconds& preparation() const { return preparation_; }
  /// Several threads may call it at a time.
  /// @param floors [count] CPU, of differences (rounding_floor.h); or undefined
  EigenPairs solve(int64_t first, int64_t count, const at::Tensor& floors) const;

 private:
  double lanczos_tolerance() const { return 0.4 * residual_tolerance(config_); }

  Candidates candidates(const at::Tensor& scales, const SymmetricOperators& operators) const;

  /// The candidates' vectors over the input, [c, k, d] float64, with null vectors where k exceeds what is
  /// known.
  at::Tensor over_input(const Candidates& found) const;

  /// Looks for eigenvalues beyond |λ_k| that are missing, by a few Lanczos columns of the deflated operator
  /// from another random start (a Ritz value is never larger than the largest |λ|, so a hit is one), and
  /// takes them in.
  void probe(const InteractionOperator& exact, const SymmetricOperators& operators, at::Tensor which,
             Refined& refined, EigenPairs& pairs) const;

  /// The k largest out of k known and some further eigenvectors.
  void merge(const InteractionOperator& exact, const at::Tensor& which, const RitzPairs& extra,
             Refined& refined) const;

  void certify(const InteractionOperator& exact, const SymmetricOperators& operators,
               const at::Tensor& spectra, bool whole, Refined& refined, EigenPairs& pairs) const;

  /// ‖Q‖_F, in float64 as the eigenvalues are, and their shares Σλ² of ‖Q‖²_F.
  /// @param norms ‖Q‖_F where it is known, [c] CPU
  /// @throws Error(kFailure) for a share above 1
  void add_energy(int64_t first, const ScaledProblem::Exact& exact, const at::Tensor& norms,
                  EigenPairs& pairs) const;

  /// By G; where its rounding shows, because hidden units nearly cancel, from Q formed: [c].
  at::Tensor frobenius_by_gram(int64_t first, const ScaledProblem::Exact& exact,
                               const at::Tensor& sizes) const;

  /// Σ_k (|U||P|)_k ‖w_k‖‖v_k‖ ≥ ‖Q‖_F, what rounding is measured against: [c] CPU.
  at::Tensor natural_sizes(const InteractionOperator& exact) const;

  /// From random probes (effective_rank.h), unless the whole spectrum was at hand.
  void estimate_rank(const InteractionOperator& exact, bool whole, EigenPairs& pairs) const;

  void report_rate(const EigenPairs& pairs, const Candidates& found) const;

  const EigenConfig& config_;
  const EigenPlan& plan_;
  ScaledProblem scaled_;
  std::optional<PackedMatrix> stack_;  // [W; V], for Lanczos without forming
  int64_t d_, k_ = 0;
  at::Tensor unit_traces_;        // [h], of the scaled problem's stored one
  at::Tensor squared_frobenius_;  // [n] CPU, likewise, with exact energy of a Lanczos solver
  EigenPairs::Seconds preparation_;
};

}  // namespace bilens
