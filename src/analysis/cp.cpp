#include "bilens/analysis/cp.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "bilens/analysis/projection_energy.h"
#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/tensor/random.h"
#include "cp_fit.h"
#include "cp_start.h"
#include "dense_eigen.h"
#include "directed_layer.h"
#include "normalization.h"

namespace bilens {

namespace {

constexpr double kExact = 1e-13;   // of ‖B‖²: nothing is left for another start
constexpr int64_t kSweeps = 2000;  // of coordinate descent
constexpr double kSweepTolerance = 1e-12;

/// The best of all starts within the compressed layer, as terms of the layer.
CpTerms best_start(const BilinearLayer& layer, double squared_norm, const CpConfig& config,
                   std::vector<double>& errors, Progress& progress) {
  const auto compressed = compress(layer, config.rank);
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

/// min ½‖B − M‖² + μΣ|a| over A alone, a ≥ 0 where asked for: coordinate descent, every output for itself,
///   a_r ← S_μ(k_r − Σ_{s≠r} Γ_rs a_s)/Γ_rr,   S_μ the soft threshold.
/// @param products K [R, n], @return A [R, n]
at::Tensor penalized_outputs(const at::Tensor& gram, const at::Tensor& products, double mu,
                             bool nonnegative) {
  auto a = at::zeros_like(products);
  const auto diagonal = gram.diagonal().contiguous();
  for (int64_t sweep = 0; sweep < kSweeps; ++sweep) {
    if (stop_requested()) throw Stopped{};
    const auto last = a.clone();
    for (int64_t r = 0; r < gram.size(0); ++r) {
      const auto rest = products[r] - gram[r].unsqueeze(0).mm(a).squeeze(0) + diagonal[r] * a[r];
      const auto shrunk =
          nonnegative ? (rest - mu).clamp_min(0) : rest.sign() * (rest.abs() - mu).clamp_min(0);
      a[r].copy_(shrunk / diagonal[r]);
    }
    if ((a - last).abs().max().item<double>() <= kSweepTolerance * a.abs().max().item<double>()) break;
  }
  return a;
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

/// Gauge, best A or the penalised one, order.
CpTerms finish(const BilinearLayer& layer, const CpTerms& fitted, const CpConfig& config) {
  auto terms = gauge(fitted);
  terms.output = best_outputs(layer, terms);
  if (config.nonnegative) {
    const auto positive = terms.output.clamp_min(0).square().sum(1, true);
    const auto flip = at::where(2 * positive < terms.output.square().sum(1, true), -1.0, 1.0);
    terms.right = terms.right * flip;
    terms.output = terms.output * flip;
  }
  if (config.nonnegative || config.l1 > 0) {
    const auto products = contract_inputs(layer, terms);
    terms.output = penalized_outputs(cp_gram(terms), products,
                                     config.l1 * products.abs().max().item<double>(), config.nonnegative);
  }
  const auto size = terms.output.norm(2, {1}) * cp_gram(terms).diagonal().sqrt();
  return select(terms, size.argsort(/*stable=*/true, 0, /*descending=*/true));
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

const FieldTable<CpConfig>& CpConfig::fields() {
  using C = CpConfig;
  static const FieldTable<C> table =
      FieldTable<C>("Of the method \"cp\".")
          .integer("rank", &C::rank, "Number of terms.", between(1, 1e6), "terms")
          .integer("starts", &C::starts, "Jennrich's and random ones in turn.", between(1, 1000))
          .integer("max_iterations", &C::max_iterations, "Of each start, and again over the whole layer.",
                   between(1, 1e6))
          .number("tolerance", &C::tolerance, "Of the gradient, relative to the largest it could be.",
                  more_than(0.0))
          .number("l1", &C::l1, "Makes output weights sparse: 0 none of them, 1 all.", between(0.0, 1.0))
          .flag("nonnegative", &C::nonnegative, "Output weights at least 0, each term with the better sign.")
          .integer("seed", &C::seed, "Of the starts.", at_least(0));
  return table;
}

CpDecomposition decompose_cp(const EigenProblem& problem, at::Device device, const CpConfig& config) {
  const auto directed = direct_layer(problem, device);
  const auto& layer = directed.layer;
  const double unit = directed.unit, squared = unit * unit, total = squared_tensor_norm(layer);
  std::vector<double> errors;
  const int64_t fits = std::max<int64_t>(config.starts, 1) + 1;  // the last one over the whole layer
  Progress progress("cp", fits, "fits");
  const auto start = best_start(layer, total, config, errors, progress);
  const auto fit = fit_cp(layer, total, start, config.max_iterations, config.tolerance);
  progress.advance(fits - static_cast<int64_t>(errors.size()));
  const auto terms = finish(layer, fit.terms, config);

  const auto gram = cp_gram(terms), products = contract_inputs(layer, terms);
  const auto best = projected_energy(gram.unsqueeze(0), products.unsqueeze(0))[0].cpu();
  const double captured = (terms.output * (2 * products - gram.mm(terms.output))).sum().item<double>();
  const double full = full_core(layer, terms), all_terms = best[-1].item<double>();
  CpDecomposition cp;
  cp.left = terms.left.cpu();
  cp.right = terms.right.cpu();
  cp.outputs = (terms.output.t() * unit).contiguous().cpu();
  cp.history = at::tensor(fit.history, at::kDouble).clamp_min(0) * squared;
  cp.start_errors = at::tensor(errors, at::kDouble).clamp_min(0) * squared;
  cp.objective = std::max(0.0, total - all_terms) * squared;
  cp.gradient = fit.gradient;
  cp.converged = fit.converged;
  cp.total = total * squared;
  cp.energy = energy_share(captured, total);
  cp.diagonal_energy = total > 0 ? best / total : at::ones_like(best);
  cp.full_energy = energy_share(full, total);
  cp.off_diagonal = std::max(0.0, 1 - energy_share(all_terms, full));
  cp.condition = condition_number(gram);
  cp.left_measure = measure_sparsity(cp.left);
  cp.right_measure = measure_sparsity(cp.right);
  cp.output_measure = measure_sparsity(cp.outputs.t());
  return cp;
}

}  // namespace bilens
