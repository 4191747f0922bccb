#include "bilens/records/eigen_pairs.h"

#include <ATen/ATen.h>

namespace bilens {

namespace {

const std::vector<std::pair<const char*, double EigenPairs::Seconds::*>> kSeconds = {
    {"form", &EigenPairs::Seconds::form},       {"solve", &EigenPairs::Seconds::solve},
    {"check", &EigenPairs::Seconds::check},     {"probe", &EigenPairs::Seconds::probe},
    {"certify", &EigenPairs::Seconds::certify}, {"energy", &EigenPairs::Seconds::energy}};

}  // namespace

std::vector<std::pair<std::string, EigenSolver>> record_names(EigenSolver) {
  return {{"dense", EigenSolver::kDense},
          {"low_rank", EigenSolver::kLowRank},
          {"lanczos", EigenSolver::kLanczos},
          {"formed", EigenSolver::kFormed}};
}

std::string solver_name(EigenSolver solver) {
  for (const auto& [name, named] : record_names(solver))
    if (named == solver) return name;
  return "auto";
}

int64_t EigenPairs::count_certified() const {
  return certified_bound.defined() ? certified_bound.isfinite().sum().item<int64_t>() : 0;
}

at::Tensor EigenPairs::unchanged_directions() const {
  if (!floor.defined()) return at::empty({0}, at::kLong);
  return eigenvalues.abs().amax(1).le(floor).nonzero().squeeze(1);
}

const TensorTable<EigenPairs>& EigenPairs::tensors() {
  using P = EigenPairs;
  static const auto table =
      TensorTable<P>()
          .tensor(
              "eigenvalues", &P::eigenvalues, "n, k", StoredAs::kFloat64,
              "by falling absolute value; positive first where |λ| ties: within `floor`, or within 50 eps "
              "of the spectral norm, eps of the dtype that was solved in (float64, except with Lanczos)")
          .tensor("eigenvectors", &P::eigenvectors, "n, k, d_in", StoredAs::kRunDtype,
                  "unit rows in the stated input space, largest component positive")
          .tensor("residuals", &P::residuals, "n, k", StoredAs::kFloat64,
                  "at least the norm of Qv − λv over the spectral norm of Q, with v as stored: what float64 "
                  "vectors leave, and at most 2.5 eps for their rounding to float32")
          .tensor("trace", &P::trace, "n", StoredAs::kFloat64, "trace of Q")
          .optional()
          .tensor("frobenius", &P::frobenius, "n", StoredAs::kFloat64,
                  "Frobenius norm of Q; only with energy")
          .optional()
          .tensor("weight_energy", &P::weight_energy, "n, k", StoredAs::kFloat64,
                  "cumulative Σλ² over the squared Frobenius norm, at most 1; only with energy")
          .optional()
          .tensor("vector_error", &P::vector_error, "n, k", StoredAs::kFloat64,
                  "residual over the gap to the nearest other known eigenvalue, plus the rounding of the "
                  "vector as stored, at most 1")
          .optional()
          .tensor("effective_rank", &P::effective_rank, "n", StoredAs::kFloat64,
                  "(Σ|λ|)²/Σλ²; NaN where the whole spectrum is not known")
          .optional()
          .tensor("effective_rank_error", &P::effective_rank_error, "n", StoredAs::kFloat64,
                  "its standard error, 0 where it is exact; only with `\"effective_rank\": \"estimate\"`")
          .optional()
          .tensor("certified_bound", &P::certified_bound, "n", StoredAs::kFloat64,
                  "proved: at most the k listed eigenvalues have |λ| ≥ this; NaN: not proved; only with "
                  "`certify`")
          .optional()
          .tensor("floor", &P::floor, "n", StoredAs::kFloat64,
                  "with `--minus` and with `traceless`: what rounding alone can leave in an eigenvalue, "
                  "50 eps (‖A_u‖_F + ‖B_u‖_F); a direction with no more than that has eigenvalues 0, is not "
                  "converged and has a `weight_energy` of NaN")
          .optional()
          .tensor("converged", &P::converged, "n", StoredAs::kUint8,
                  "1 where the residuals are within the tolerance")
          .optional()
          .tensor("columns", &P::columns, "n", StoredAs::kInt32,
                  "operator columns used (the dimension, for the dense method)")
          .optional()
          .tensor("cluster", &P::cluster, "n, k", StoredAs::kInt32,
                  "number of the group of neighbouring λ that cannot be told apart; +λ and −λ can")
          .optional()
          .tensor("tie_at_k", &P::tie_at_k, "n", StoredAs::kUint8,
                  "whether |λ_k| and |λ_(k+1)| cannot be told apart")
          .optional();
  return table;
}

NamedNumbers to_named(const EigenPairs::Seconds& seconds) {
  NamedNumbers named;
  for (const auto& [name, member] : kSeconds) named.emplace_back(name, seconds.*member);
  return named;
}

EigenPairs::Seconds seconds_from(const NamedNumbers& named) {
  EigenPairs::Seconds seconds;
  for (const auto& [name, member] : kSeconds)
    for (const auto& [of, number] : named)
      if (of == name) seconds.*member = number;
  return seconds;
}

void add_seconds(EigenPairs::Seconds& sum, const EigenPairs::Seconds& seconds) {
  for (const auto& [name, member] : kSeconds) sum.*member += seconds.*member;
}

void scale_seconds(EigenPairs::Seconds& seconds, double factor) {
  for (const auto& [name, member] : kSeconds) seconds.*member *= factor;
}

PairsRecord::PairsRecord(const EigenPairs& pairs)
    : solver(pairs.solver),
      k(pairs.k()),
      worst_residual(pairs.residuals.max().item<double>()),
      converged(pairs.converged.sum().item<int64_t>()),
      certified(pairs.count_certified()),
      repaired(pairs.repaired) {
  if (pairs.effective_rank.isnan().all().item<bool>()) return;
  const auto ranks = pairs.effective_rank.contiguous();
  const auto* first = ranks.const_data_ptr<double>();
  effective_rank.emplace(first, first + ranks.numel());
}

const RecordTable<PairsRecord>& PairsRecord::record() {
  using R = PairsRecord;
  static const auto table =
      RecordTable<R>()
          .field("solver", &R::solver, "How the eigenpairs were found.")
          .field("k", &R::k, "Eigenpairs of each direction.")
          .natural()
          .field("worst_residual", &R::worst_residual, "The largest of `residuals`.")
          .not_negative()
          .field("converged", &R::converged, "Directions whose eigenpairs all converged.")
          .natural()
          .field("certified", &R::certified, "Directions with a proved bound.")
          .natural()
          .field("repaired", &R::repaired, "Directions where the probe found a missing eigenpair.")
          .natural()
          .field("effective_rank", &R::effective_rank,
                 "Effective rank of each direction; null where it is known of none.")
          .not_negative();
  return table;
}

}  // namespace bilens
