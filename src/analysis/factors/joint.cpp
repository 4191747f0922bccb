#include "bilens/analysis/factors/joint.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "bilens/analysis/eigen/projection_energy.h"
#include "bilens/analysis/forms/interaction.h"
#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/core/text.h"
#include "bilens/tensor/random.h"
#include "eigen/dense_eigen.h"
#include "factors/factor_words.h"
#include "forms/directed_layer.h"
#include "forms/normalization.h"
#include "polar.h"

namespace bilens {

namespace {

constexpr double kRounding = 1e-15;  // of f
constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kSettling = 50;  // iterations of a start's wider basis

/// V with what the layer makes of it.
struct Iterate {
  at::Tensor v;         // [k, d]
  at::Tensor outputs;   // [k, n], layer(v_r)
  at::Tensor gradient;  // ∇f [k, d]
  double value;         // f
};

Iterate evaluate(const BilinearLayer& layer, const at::Tensor& v) {
  const auto gate = v.mm(layer.gate.t()), up = v.mm(layer.up.t());
  const auto outputs = (gate * up).mm(layer.down.t());
  const auto scales = outputs.mm(layer.down);
  return {v, outputs, 2 * ((scales * up).mm(layer.gate) + (scales * gate).mm(layer.up)),
          outputs.square().sum().item<double>()};
}

/// ‖∇f − sym(∇fVᵀ)V‖/‖∇f‖: the gradient along the manifold of orthonormal rows.
double relative_gradient(const Iterate& at) {
  const auto multipliers = at.gradient.mm(at.v.t());
  const auto along = at.gradient - (multipliers + multipliers.t()).mul(0.5).mm(at.v);
  const double whole = at.gradient.norm().item<double>();
  return whole > 0 ? along.norm().item<double>() / whole : 0.0;
}

struct Ascent {
  Iterate point;
  double gradient;
  bool converged;
  std::vector<double> history;
};

Ascent ascend(const BilinearLayer& layer, const at::Tensor& start, const JointConfig& config) {
  auto point = evaluate(layer, start);
  Ascent ascent{point, relative_gradient(point), false, {point.value}};
  // Where f is stationary the multipliers are its curvature's size: the first shift.
  const double size = point.gradient.norm().item<double>() / std::sqrt(static_cast<double>(start.size(0)));
  double shift = 0.25 * size;
  for (int64_t step = 0; step < config.max_iterations; ++step) {
    if (stop_requested()) throw Stopped{};
    ascent.converged = ascent.gradient <= config.tolerance;
    if (ascent.converged) break;
    const auto next = evaluate(layer, polar(point.gradient + shift * point.v));
    if (next.value < point.value * (1 - kRounding)) {
      // Beyond any curvature only rounding is left to lower f.
      if (shift > 1e6 * size) break;
      shift *= 2;
      continue;
    }
    shift *= 0.5;
    point = next;
    ascent.gradient = relative_gradient(point);
    ascent.history.push_back(point.value);
  }
  ascent.point = point;
  return ascent;
}

/// The k rows with the largest ‖layer(v)‖.
at::Tensor largest_rows(const BilinearLayer& layer, const at::Tensor& basis, int64_t k) {
  return basis.index_select(0, std::get<1>(layer.forward(basis).square().sum(1).topk(k)));
}

/// From the eigenbasis of a random mixture Σ_i g_i B_i. A mixture mixes what it does not tell apart: so twice
/// as many vectors settle first.
at::Tensor start_basis(const BilinearLayer& layer, const JointConfig& config, int64_t k, uint64_t seed) {
  const auto mixture = at::randn({1, layer.d_out()}, make_generator(at::kCPU, seed), at::dtype(at::kDouble));
  const InteractionOperator q(layer, mixture.to(layer.gate.device()));
  const auto basis = checked_eigh(q.form(0, 1, at::kDouble)).second[0].t();
  const int64_t wide = std::min(2 * k, layer.d_in());
  if (wide == k) return basis;
  auto brief = config;
  brief.max_iterations = std::min(kSettling, config.max_iterations);
  return largest_rows(layer, ascend(layer, largest_rows(layer, basis, wide), brief).point.v, k);
}

}  // namespace

const FieldTable<JointConfig>& JointConfig::fields() {
  using C = JointConfig;
  static const FieldTable<C> table =
      FieldTable<C>("Settings of the method \"joint\".")
          .integer("starts", &C::starts,
                   "Starts, each from the eigenvectors of a random mixture of the outputs.", between(1, 1000))
          .integer("max_iterations", &C::max_iterations, "Most iterations of one start.", between(1, 1e6))
          .number("tolerance", &C::tolerance,
                  "Stops when the gradient along the constraint is below this share of the whole gradient.",
                  more_than(0.0))
          .integer("seed", &C::seed, "Seed of the mixtures.", at_least(0));
  return table;
}

JointBasis diagonalize_jointly(const EigenProblem& problem, at::Device device, const JointConfig& config) {
  const auto whole = whole_tensor(problem, device);
  const auto& layer = whole.layer;
  const int64_t k = std::min(config.k, layer.d_in()), starts = std::max<int64_t>(config.starts, 1);
  Ascent best;
  std::vector<double> reached;
  Progress progress("joint basis", starts, "starts");
  for (int64_t i = 0; i < starts; ++i) {
    const uint64_t seed = derive_seed(config.seed, "joint", static_cast<uint64_t>(i));
    auto ascent = ascend(layer, start_basis(layer, config, k, seed), config);
    reached.push_back(ascent.point.value);
    if (i == 0 || ascent.point.value > best.point.value) best = std::move(ascent);
    progress.advance(1);
  }

  const double unit = whole.unit, squared = unit * unit;
  const auto sizes = best.point.outputs.square().sum(1);
  const auto order = sizes.argsort(/*stable=*/true, 0, /*descending=*/true);
  const auto v = orient(best.point.v.index_select(0, order));
  BilinearLayer core = layer;
  core.gate = layer.gate.mm(v.t());
  core.up = layer.up.mm(v.t());
  const double total = whole.squared_norm, full = squared_tensor_norm(core);

  JointBasis basis;
  basis.vectors = v.cpu();
  basis.values = (best.point.outputs.index_select(0, order).t() * unit).cpu().contiguous();
  basis.history = at::tensor(best.history, at::kDouble) * squared;
  basis.start_objectives = at::tensor(reached, at::kDouble) * squared;
  basis.objective = best.point.value * squared;
  basis.gradient = best.gradient;
  basis.converged = best.converged;
  basis.total = total * squared;
  const auto cumulative = sizes.index_select(0, order).cumsum(0).cpu();
  basis.diagonal_energy = total > 0 ? cumulative / total : at::ones_like(cumulative);
  basis.full_energy = energy_share(full, total);
  basis.off_diagonal = std::max(0.0, 1 - energy_share(best.point.value, full));
  basis.measure = measure_sparsity(basis.vectors);
  basis.floor = whole.floor * unit;
  basis.unchanged = whole.unchanged;
  if (!whole.unchanged) return basis;
  basis.converged = false;
  basis.diagonal_energy.fill_(kUnknown);
  basis.full_energy = basis.off_diagonal = kUnknown;
  return basis;
}

Factors to_factors(const JointBasis& basis, at::ScalarType dtype) {
  JointFactors found;
  found.objective = basis.objective;
  found.squared_norm = basis.total;
  found.diagonal_energy_kept = basis.diagonal_energy[-1].item<double>();
  found.full_energy = basis.full_energy;
  found.off_diagonal = basis.off_diagonal;
  found.gradient = basis.gradient;
  found.converged = basis.converged;
  found.vectors = basis.vectors.to(dtype);
  found.values = basis.values;
  found.diagonal_energy = basis.diagonal_energy;
  found.history = basis.history;
  found.start_objectives = basis.start_objectives;
  found.measure = basis.measure;
  std::string words = std::to_string(basis.vectors.size(0)) + " shared vectors, " +
                      in_percent(found.diagonal_energy_kept) + " of the energy without cross terms, " +
                      in_percent(basis.full_energy) + " with them, " +
                      (basis.converged ? "converged" : "not converged");
  name_unchanged(found, words, basis.unchanged, basis.floor);
  return {found, words, 0};
}

}  // namespace bilens
