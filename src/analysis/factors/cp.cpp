#include "bilens/analysis/factors/cp.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "bilens/analysis/eigen/projection_energy.h"
#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/core/text.h"
#include "bilens/tensor/random.h"
#include "cp_fit.h"
#include "cp_start.h"
#include "eigen/dense_eigen.h"
#include "factors/factor_words.h"
#include "forms/directed_layer.h"
#include "forms/normalization.h"
#include "penalized_fit.h"

namespace bilens {

namespace {

constexpr double kExact = 1e-13;  // of ‖B‖²: nothing is left for another start
constexpr double kNoShare = std::numeric_limits<double>::quiet_NaN();

/// The best of all starts within the compressed layer, as terms of the layer.
/// @param floor of the layer's norm (WholeTensor)
CpTerms best_start(const BilinearLayer& layer, double squared_norm, double floor, const CpConfig& config,
                   std::vector<double>& errors, Progress& progress) {
  const auto compressed = compress(layer, config.rank, floor);
  const double kept = squared_tensor_norm(compressed.layer);
  CpTerms best;
  double least = std::numeric_limits<double>::infinity();
  for (int64_t i = 0; i < std::max<int64_t>(config.starts, 1); ++i) {
    const uint64_t seed = derive_seed(config.seed, "cp", static_cast<uint64_t>(i));
    const auto start = i % 2 == 0 ? jennrich(compressed.layer, config.rank, seed)
                                  : random_terms(compressed.layer, config.rank, seed);
    const auto fit = fit_cp(compressed.layer, kept, start, config.max_iterations, config.tolerance);
    errors.push_back(fit.squared_error() + squared_norm - kept);
    if (fit.squared_error() < least) {
      least = fit.squared_error();
      best = fit.terms;
    }
    progress.advance(1);
    if (least <= kExact * kept) break;
  }
  return expand(compressed, best);
}

/// Unit l and r with their largest component positive; `output` is not looked at.
CpTerms gauge(const CpTerms& terms) {
  const auto unit = [](const at::Tensor& rows) {
    return orient(rows / rows.norm(2, {1}, true).clamp_min(std::numeric_limits<double>::min()));
  };
  return {unit(terms.left), unit(terms.right), {}};
}

CpTerms select(const CpTerms& terms, const at::Tensor& rows) {
  return {terms.left.index_select(0, rows), terms.right.index_select(0, rows),
          terms.output.index_select(0, rows)};
}

struct Finished {
  CpTerms terms;
  std::optional<double> refit_residual;
};

/// Gauge, in the dtype that is stored; best A or the penalised one, order.
Finished finish(const BilinearLayer& layer, const CpTerms& fitted, const CpConfig& config) {
  auto terms = gauge(fitted);
  for (auto* rows : {&terms.left, &terms.right}) *rows = rows->to(config.dtype).to(at::kDouble);
  std::optional<double> residual;
  terms.output = best_outputs(layer, terms);
  if (config.nonnegative) {
    const auto positive = terms.output.clamp_min(0).square().sum(1, true);
    const auto flip = at::where(2 * positive < terms.output.square().sum(1, true), -1.0, 1.0);
    terms.right = terms.right * flip;
    terms.output = terms.output * flip;
  }
  if (config.nonnegative || config.l1 > 0) {
    const auto products = contract_inputs(layer, terms);
    const auto fit = fit_penalized(cp_gram(terms), products.t(),
                                   config.l1 * products.abs().max().item<double>(), config.nonnegative);
    terms.output = fit.weights.t();
    residual = fit.residual;
  }
  const auto size = terms.output.norm(2, {1}) * cp_gram(terms).diagonal().sqrt();
  return {select(terms, size.argsort(/*stable=*/true, 0, /*descending=*/true)), residual};
}

/// Share of Σ‖ΠB_iΠ‖² with Π onto the span of all l and r.
double full_core(const BilinearLayer& layer, const CpTerms& terms) {
  const auto rows = at::cat({terms.left, terms.right});
  const auto [u, singular, basis] = at::linalg_svd(rows, /*full_matrices=*/false);
  const int64_t rank = singular.gt(1e-10 * singular[0]).sum().item<int64_t>();
  const auto span = basis.narrow(0, 0, std::max<int64_t>(rank, 1)).t();
  BilinearLayer core = layer;
  core.gate = layer.gate.mm(span);
  core.up = layer.up.mm(span);
  return squared_tensor_norm(core);
}

double condition_number(const at::Tensor& gram) {
  const auto size = gram.diagonal().sqrt();
  const auto values = checked_eigh((gram / size.unsqueeze(1) / size).unsqueeze(0)).first[0];
  const double smallest = values[0].item<double>(), largest = values[-1].item<double>();
  return smallest > 0 ? largest / smallest : std::numeric_limits<double>::infinity();
}

}  // namespace

const char* status_name(CpStatus status) {
  switch (status) {
    case CpStatus::kConverged: return "converged";
    case CpStatus::kDiverging: return "diverging";
    default: return "not converged";
  }
}

const FieldTable<CpConfig>& CpConfig::fields() {
  using C = CpConfig;
  static const FieldTable<C> table =
      FieldTable<C>("Settings of the method \"cp\".")
          .integer("rank", &C::rank, "Number of terms.", between(1, 1e6), "terms")
          .integer("starts", &C::starts, "Starts, Jennrich's and random ones in turn.", between(1, 1000))
          .integer("max_iterations", &C::max_iterations,
                   "Most iterations of each start, and again over the whole layer.", between(1, 1e6))
          .number("tolerance", &C::tolerance,
                  "Stops when the gradient is below this share of the largest that it could be.",
                  more_than(0.0))
          .number("l1", &C::l1, "Makes output weights sparse: 0 none of them, 1 all.", between(0.0, 1.0))
          .flag("nonnegative", &C::nonnegative, "Output weights at least 0, each term with the better sign.")
          .integer("seed", &C::seed, "Seed of the starts.", at_least(0));
  return table;
}

CpDecomposition decompose_cp(const EigenProblem& problem, at::Device device, const CpConfig& config) {
  const auto whole = whole_tensor(problem, device);
  const auto& layer = whole.layer;
  const double unit = whole.unit, squared = unit * unit, total = whole.squared_norm;
  std::vector<double> errors;
  const int64_t fits = std::max<int64_t>(config.starts, 1) + 1;  // the last one over the whole layer
  Progress progress("cp", fits, "fits");
  const auto start = best_start(layer, total, whole.floor, config, errors, progress);
  const auto fit = fit_cp(layer, total, start, config.max_iterations, config.tolerance);
  progress.advance(fits - static_cast<int64_t>(errors.size()));
  const auto [terms, refit_residual] = finish(layer, fit.terms, config);

  const auto gram = cp_gram(terms), products = contract_inputs(layer, terms);
  const auto best = projected_energy(gram.unsqueeze(0), products.unsqueeze(0))[0].cpu();
  const double own = (terms.output * gram.mm(terms.output)).sum().item<double>();
  const double captured = 2 * (terms.output * products).sum().item<double>() - own;
  const double full = full_core(layer, terms), all_terms = best[-1].item<double>();
  CpDecomposition cp;
  cp.left = terms.left.cpu();
  cp.right = terms.right.cpu();
  cp.outputs = (terms.output.t() * unit).contiguous().cpu();
  cp.history = at::tensor(fit.history, at::kDouble).clamp_min(0) * squared;
  cp.start_errors = at::tensor(errors, at::kDouble).clamp_min(0) * squared;
  cp.objective = std::max(0.0, total - all_terms) * squared;
  cp.gradient = fit.gradient;
  cp.status = status_of(fit.status, refit_residual);
  cp.refit_residual = refit_residual;
  cp.total = total * squared;
  cp.energy = energy_share(captured, total);
  cp.diagonal_energy = total > 0 ? best / total : at::ones_like(best);
  cp.full_energy = energy_share(full, total);
  cp.off_diagonal = std::max(0.0, 1 - energy_share(all_terms, full));
  cp.condition = condition_number(gram);
  cp.cancellation = own > 0 ? (terms.output.square().sum(1) * gram.diagonal()).sum().item<double>() / own : 1;
  cp.floor = whole.floor * unit;
  cp.unchanged = whole.unchanged;
  cp.left_measure = measure_sparsity(cp.left);
  cp.right_measure = measure_sparsity(cp.right);
  cp.output_measure = measure_sparsity(cp.outputs.t());
  if (!whole.unchanged) return cp;
  cp.status = CpStatus::kUnfinished;
  cp.diagonal_energy.fill_(kNoShare);
  cp.energy = cp.full_energy = cp.off_diagonal = kNoShare;
  return cp;
}

Factors to_factors(const CpDecomposition& cp, at::ScalarType dtype) {
  CpFactors found;
  found.objective = cp.objective;
  found.squared_norm = cp.total;
  found.energy = cp.energy;
  found.full_energy = cp.full_energy;
  found.off_diagonal = cp.off_diagonal;
  found.condition = cp.condition;
  found.cancellation = cp.cancellation;
  found.gradient = cp.gradient;
  found.status = status_name(cp.status);
  found.converged = cp.converged();
  found.refit_residual = cp.refit_residual;
  found.left = cp.left.to(dtype);
  found.right = cp.right.to(dtype);
  found.outputs = cp.outputs;
  found.diagonal_energy = cp.diagonal_energy;
  found.history = cp.history;
  found.start_errors = cp.start_errors;
  found.left_measure = cp.left_measure;
  found.right_measure = cp.right_measure;
  found.output_measure = cp.output_measure;
  std::string words = std::to_string(cp.left.size(0)) + " terms of condition " +
                      format("%.1e", cp.condition) + ", " + in_percent(cp.energy) + " of the energy, " +
                      found.status;
  name_unchanged(found, words, cp.unchanged, cp.floor);
  return {found, words, 0};
}

}  // namespace bilens
