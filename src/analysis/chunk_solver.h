#pragma once

#include <optional>

#include "bilens/analysis/eigen.h"
#include "bilens/analysis/eigen_plan.h"
#include "bilens/analysis/lanczos.h"
#include "bilens/tensor/packed_matrix.h"
#include "candidates.h"
#include "refinement.h"
#include "scaled_problem.h"

namespace bilens {

/// Solves the directions of one problem chunk by chunk: candidates in the scaled problem, refined against the
/// weights as stored, probed for what is missing, on request proved.
class ChunkSolver {
 public:
  /// Config and plan must outlive it.
  ChunkSolver(const EigenProblem& problem, at::Device device, const EigenConfig& config,
              const EigenPlan& plan);

  int64_t count() const { return scaled_.count(); }
  EigenPairs solve(int64_t first, int64_t count);

 private:
  double lanczos_tolerance() const { return 0.4 * residual_tolerance(config_); }

  Candidates candidates(const at::Tensor& scales, const SymmetricOperators& operators) const;

  /// The candidates' vectors over the input, [c, k, d] float64, with null vectors where k exceeds what is
  /// known.
  at::Tensor over_input(const Candidates& found) const;

  /// A library's float32 may be off by more than is asked for (cuSOLVER's is, in some of 2048 eigenpairs):
  /// such directions one after the other in float64.
  void solve_again(const InteractionOperator& exact, const at::Tensor& scales, Candidates& found,
                   Refined& refined) const;

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

  void add_energy(int64_t first, const at::Tensor& matrices, const at::Tensor& units, const Candidates& found,
                  const at::Tensor& spectra, EigenPairs& pairs) const;

  /// From random probes (effective_rank.h), unless the whole spectrum was at hand.
  void estimate_rank(const InteractionOperator& exact, bool whole, EigenPairs& pairs) const;

  void report_rate(const EigenPairs& pairs, const Candidates& found) const;

  const EigenConfig& config_;
  const EigenPlan& plan_;
  ScaledProblem scaled_;
  std::optional<PackedMatrix> stack_;  // [W; V], for Lanczos without forming
  int64_t d_, k_ = 0;
  at::Tensor unit_traces_;        // [h]
  at::Tensor squared_frobenius_;  // [n] CPU, with exact energy of a Lanczos solver
  double prepare_seconds_ = 0, energy_seconds_ = 0;
};

}  // namespace bilens
