#include "chunk_solver.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "bilens/analysis/eigen/certificate.h"
#include "bilens/analysis/eigen/effective_rank.h"
#include "bilens/analysis/forms/gram.h"
#include "bilens/core/error.h"
#include "bilens/core/log.h"
#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/core/text.h"
#include "bilens/tensor/device.h"
#include "bilens/tensor/random.h"
#include "forms/matrix_free.h"
#include "forms/normalization.h"
#include "solver_limits.h"
#include "spectrum.h"

namespace bilens {

namespace {

SymmetricOperators formed(const at::Tensor& matrices) {
  return [matrices](const at::Tensor& x, const at::Tensor& which) {
    auto all = at::zeros({matrices.size(0), x.size(1)}, x.options());
    all.index_copy_(0, which, x);
    return at::bmm(matrices, all.unsqueeze(2)).squeeze(2).index_select(0, which);
  };
}

/// What is solved in: Lanczos alone in the run's dtype.
at::ScalarType solving_dtype(const EigenConfig& config, const EigenPlan& plan) {
  return plan.solver == EigenSolver::kLanczos ? config.dtype : at::kDouble;
}

/// From the unit of the exact operators into that of the weights as stored. An eigenvalue below float64's
/// normal range loses digits there, which its residual counts; a bound stays above.
/// @throws Error(kBadInput) for what float64 does not hold
void to_stored_unit(const at::Tensor& exponents, const EigenConfig& config, EigenPairs& pairs) {
  const auto to = [&](const at::Tensor& t) {
    return scale_by_power(t, t.dim() == 2 ? exponents.unsqueeze(1) : exponents);
  };
  const auto stored = to(pairs.eigenvalues);
  const auto lost = (scale_by_power(stored, -exponents.unsqueeze(1)) - pairs.eigenvalues).abs();
  const auto norms = pairs.eigenvalues.abs().amax(1, true);
  pairs.residuals = pairs.residuals + at::where(norms > 0, lost / norms, at::zeros_like(lost));
  pairs.converged = pairs.residuals.amax(1).le(residual_tolerance(config)).to(at::kByte);
  pairs.eigenvalues = stored;
  pairs.trace = to(pairs.trace);
  if (pairs.frobenius.defined()) pairs.frobenius = to(pairs.frobenius);
  for (const auto& tensor : {pairs.eigenvalues, pairs.trace, pairs.frobenius})
    if (tensor.defined()) require_held(tensor);
  if (!pairs.certified_bound.defined()) return;
  const auto above = at::full_like(pairs.certified_bound, std::numeric_limits<double>::infinity());
  pairs.certified_bound = at::nextafter(to(pairs.certified_bound), above);
}

at::Tensor random_start(int64_t r, const char* purpose, const at::TensorOptions& options) {
  return at::randn({r}, make_generator(at::kCPU, derive_seed(0, purpose)), at::dtype(at::kDouble))
      .to(options);
}

}  // namespace

ChunkSolver::ChunkSolver(const EigenProblem& problem, at::Device device, const EigenConfig& config,
                         const EigenPlan& plan, Stopwatch watch)
    : config_(config),
      plan_(plan),
      scaled_(problem, device, solving_dtype(config, plan)),
      d_(scaled_.dimension()) {
  k_ = std::min(config.k, d_);
  if (plan.solver == EigenSolver::kLanczos)
    stack_ = scaled_.take_stack(plan.packed ? plan.chunk / plan.parts : 0);
  unit_traces_ = scaled_.exact(0, 1).q.unit_traces();
  watch.lap(preparation_.form);
  if (plan.energy_operations > 0) {
    squared_frobenius_ = squared_frobenius(scaled_.problem(), 4 * kTileBytes).cpu();
    watch.lap(preparation_.energy);
  }
}

EigenPairs ChunkSolver::solve(int64_t first, int64_t count, const at::Tensor& floors) const {
  Stopwatch watch;
  EigenPairs pairs;
  pairs.solver = plan_.solver;
  const auto chunk = scaled_.exact(first, count);
  const auto& exact = chunk.q;
  const auto scales = scaled_.scaled(exact.scales());
  const auto units = scaled_.units(exact.scales()).cpu();
  SymmetricOperators operators;
  at::Tensor norms;  // ‖Q‖_F
  if (plan_.solver == EigenSolver::kFormed) {
    const auto matrices = scaled_.operators(scales).form(0, count, at::kDouble);
    norms = matrices.norm(2, {1, 2}).cpu() * units;
    operators = formed(matrices.to(config_.dtype));
  } else if (plan_.solver == EigenSolver::kLanczos) {
    operators = matrix_free(*stack_, scales);
  }
  watch.lap(pairs.seconds.form);
  auto found = candidates(scales, operators);
  watch.lap(pairs.seconds.solve);
  auto refined = refine(exact, over_input(found), !found.whole);
  watch.lap(pairs.seconds.check);
  const auto spectra = found.values * units.unsqueeze(1);
  if (!found.whole && config_.probe && !config_.certify) {
    probe(exact, operators, at::arange(count, at::kLong), refined, pairs);
    watch.lap(pairs.seconds.probe);
  }
  if (config_.certify) {
    certify(exact, operators, spectra, found.whole, refined, pairs);
    watch.lap(pairs.seconds.certify);
  }
  const auto apart =
      floors.defined() ? scale_by_power(floors, -chunk.exponents) : at::zeros({count}, at::kDouble);
  write_pairs(refined, found, spectra, apart, config_, pairs);
  pairs.trace = exact.scales().mv(unit_traces_).cpu();
  if (found.whole) norms = spectra.norm(2, {1});
  if (plan_.energy) add_energy(first, chunk, norms, pairs);
  if (config_.estimate_rank) estimate_rank(exact, found.whole, pairs);
  to_stored_unit(chunk.exponents, config_, pairs);
  watch.lap(pairs.seconds.check);
  if (plan_.solver == EigenSolver::kLanczos) report_rate(pairs, found);
  return pairs;
}

Candidates ChunkSolver::candidates(const at::Tensor& scales, const SymmetricOperators& operators) const {
  if (plan_.solver == EigenSolver::kDense) return solve_dense(scaled_.operators(scales), k_);
  if (plan_.solver == EigenSolver::kLowRank) return solve_low_rank(scaled_.operators(scales), k_);
  LanczosConfig lanczos_config;
  lanczos_config.wanted = k_;
  lanczos_config.guards = kGuards;
  lanczos_config.tolerance = lanczos_tolerance();
  lanczos_config.basis = plan_.basis;
  lanczos_config.columns = 12 * plan_.basis;
  const auto ritz = lanczos(operators, scales.size(0),
                            random_start(scaled_.rank(), "lanczos", scales.options().dtype(config_.dtype)),
                            {}, lanczos_config);
  const auto chosen = choose(ritz.values.contiguous(), k_, machine_epsilon(config_.dtype));
  const auto index = chosen.to(ritz.vectors.device()).unsqueeze(2).expand({-1, -1, scaled_.rank()});
  return {ritz.values, ritz.vectors.gather(1, index), chosen, ritz.columns, false};
}

at::Tensor ChunkSolver::over_input(const Candidates& found) const {
  const auto x = scaled_.lift(found.vectors.to(at::kDouble));
  const int64_t missing = k_ - x.size(1);
  if (missing <= 0) return x;
  return at::cat({x, scaled_.null_vectors(missing).unsqueeze(0).expand({x.size(0), missing, d_})}, 1);
}

void ChunkSolver::probe(const InteractionOperator& exact, const SymmetricOperators& operators,
                        at::Tensor which, Refined& refined, EigenPairs& pairs) const {
  const double margin = 2 * residual_tolerance(config_);
  const auto units = scaled_.units(exact.scales()).cpu();
  const auto options = exact.scales().options().dtype(config_.dtype);
  const int64_t r = scaled_.rank();
  for (int64_t round = 0; round < k_ && which.numel() > 0 && r > k_; ++round) {
    const auto device_which = which.to(options.device());
    const SymmetricOperators part = [&](const at::Tensor& x, const at::Tensor& of) {
      return operators(x, device_which.index_select(0, of));
    };
    const auto locked = scaled_.restrict(refined.vectors.index_select(0, device_which)).to(config_.dtype);
    LanczosConfig look;
    look.wanted = 1;
    look.guards = 0;
    look.basis = look.columns = columns_to_see(r - k_, kProbedExcess, kProbeMisses);
    const auto start = random_start(r, "probe", options);
    const auto seen =
        lanczos(part, which.numel(), start, locked, look).values.select(1, 0) * units.index_select(0, which);
    const auto sizes = refined.values.index_select(0, which).abs();
    refined.beyond.index_copy_(0, which, seen);
    const auto hit = seen.abs().gt(sizes.amin(1) + margin * sizes.amax(1)).nonzero().squeeze(1);
    if (hit.numel() == 0) return;
    log_debug("the probe found missing eigenpairs of " + std::to_string(hit.numel()) + " directions");
    if (round == 0) pairs.repaired += hit.numel();
    const auto device_hit = hit.to(options.device());
    LanczosConfig repair;
    repair.wanted = 2;
    repair.guards = 1;
    repair.tolerance = lanczos_tolerance();
    repair.basis = plan_.basis;
    repair.columns = 12 * plan_.basis;
    const SymmetricOperators of_hits = [&](const at::Tensor& x, const at::Tensor& of) {
      return part(x, device_hit.index_select(0, of));
    };
    const auto extra = lanczos(of_hits, hit.numel(), start, locked.index_select(0, device_hit), repair);
    which = which.index_select(0, hit);
    merge(exact, which, extra, refined);
  }
}

void ChunkSolver::merge(const InteractionOperator& exact, const at::Tensor& which, const RitzPairs& extra,
                        Refined& refined) const {
  const auto device_which = which.to(refined.vectors.device());
  const auto more = scaled_.lift(extra.vectors.to(at::kDouble));
  const auto all = refine(exact.select(device_which),
                          at::cat({refined.vectors.index_select(0, device_which), more}, 1), true);
  const auto chosen = choose(all.values.contiguous(), k_, machine_epsilon(config_.dtype));
  const auto rows = chosen.to(more.device()).unsqueeze(2).expand({-1, -1, d_});
  refined.vectors.index_copy_(0, device_which, all.vectors.gather(1, rows));
  refined.values.index_copy_(0, which, all.values.gather(1, chosen));
  refined.residuals.index_copy_(0, which, all.residuals.gather(1, chosen));
  const auto order = all.values.abs().argsort(/*stable=*/true, 1, /*descending=*/true);
  refined.beyond.index_copy_(0, which, all.values.gather(1, order).select(1, k_));
}

void ChunkSolver::certify(const InteractionOperator& exact, const SymmetricOperators& operators,
                          const at::Tensor& spectra, bool whole, Refined& refined, EigenPairs& pairs) const {
  Certifier certifier(exact);
  const int64_t c = exact.count();
  pairs.certified_bound = at::empty({c}, at::kDouble);
  const auto prove = [&](int64_t i) {
    const auto order = std::get<1>(refined.values[i].abs().sort(0, /*descending=*/true));
    const auto vectors = refined.vectors[i].index_select(0, order.to(refined.vectors.device()));
    const auto all = spectra[i].contiguous();
    const Spectrum spectrum{all.const_data_ptr<double>(), all.numel(), d_, whole};
    const auto ranks = order_of(spectrum.values, spectrum.known, 0);
    const double known = k_ < spectrum.known ? std::abs(spectrum.values[ranks[k_]]) : 0.0;
    const double seen = std::abs(refined.beyond[i].item<double>()), next = std::isnan(seen) ? known : seen;
    pairs.certified_bound[i] = certifier.bound(i, refined.values[i].index_select(0, order), vectors, next);
  };
  for (int64_t i = 0; i < c; ++i) {
    if (stop_requested()) throw Stopped{};
    prove(i);
  }
  const auto unproved = pairs.certified_bound.isnan().nonzero().squeeze(1);
  if (unproved.numel() == 0 || whole) return;
  probe(exact, operators, unproved, refined, pairs);
  for (int64_t j = 0; j < unproved.numel(); ++j) prove(unproved[j].item<int64_t>());
}

at::Tensor ChunkSolver::natural_sizes(const InteractionOperator& exact) const {
  const auto& layer = exact.layer();
  const auto rows = [](const at::Tensor& weight) {
    return at::linalg_vector_norm(weight, 2, 1, false, at::kDouble);
  };
  const auto u = exact.directions().abs();
  const auto s = layer.down.defined() ? u.mm(layer.down.to(at::kDouble).abs()) : u;
  const double e = exact.embed().defined() ? exact.embed().to(at::kDouble).norm().item<double>() : 1.0;
  return s.mv(rows(layer.gate) * rows(layer.up)).cpu() * (e * e);
}

at::Tensor ChunkSolver::frobenius_by_gram(int64_t first, const ScaledProblem::Exact& exact,
                                          const at::Tensor& sizes) const {
  const auto root = squared_frobenius_.narrow(0, first, sizes.size(0)).sqrt();
  auto norms = scale_by_power(root, scaled_.exponent() - exact.exponents);
  const auto rounded = sizes.square() * machine_epsilon(at::kDouble) > 1e-10 * norms.square();
  const auto which = rounded.nonzero().squeeze(1);
  for (int64_t j = 0; j < which.numel(); ++j) {
    const auto i = which[j].item<int64_t>();
    norms[i] = exact.q.form(i, 1, at::kDouble).norm().cpu();
  }
  return norms;
}

void ChunkSolver::add_energy(int64_t first, const ScaledProblem::Exact& exact, const at::Tensor& norms,
                             EigenPairs& pairs) const {
  const auto sizes = natural_sizes(exact.q);
  pairs.frobenius = squared_frobenius_.defined() ? frobenius_by_gram(first, exact, sizes) : norms;
  const auto total = pairs.frobenius.square().unsqueeze(1);
  const auto share = pairs.eigenvalues.square().cumsum(1) / total;
  // Orthonormal vectors hold no more than there is, but for rounding, which goes with the terms of a sum.
  const auto rounding = sizes.square().unsqueeze(1) / total * (64 * machine_epsilon(at::kDouble));
  if (share.gt(1 + 1e-12 + rounding).logical_and(total.gt(0)).any().item<bool>()) {
    throw Error(ExitCode::kFailure,
                {"weight_energy", "at most 1", format("%.15g", share.max().item<double>()),
                 "This is an error in the program, not in the weights: please report it with them."});
  }
  pairs.weight_energy = at::where(total > 0, share.clamp_max(1), at::ones_like(share));
}

void ChunkSolver::estimate_rank(const InteractionOperator& exact, bool whole, EigenPairs& pairs) const {
  pairs.effective_rank_error = at::zeros_like(pairs.effective_rank);
  if (whole) return;
  EffectiveRankConfig probes;
  probes.dtype = config_.dtype;
  probes.memory_limit = config_.memory_limit / (2 * plan_.parts);  // Lanczos still holds its weights
  const auto squares = pairs.frobenius.defined() ? pairs.frobenius.square() : at::Tensor();
  const auto rank = effective_rank({exact.layer(), exact.embed(), exact.directions()}, unit_traces_.device(),
                                   probes, squares);
  pairs.effective_rank = rank.value;
  pairs.effective_rank_error = rank.standard_error;
}

void ChunkSolver::report_rate(const EigenPairs& pairs, const Candidates& found) const {
  const double columns = found.columns.sum().item<double>();
  const double operations = columns * 8 * static_cast<double>(scaled_.hidden() * scaled_.rank());
  log_debug("lanczos: " + format_number(columns) + " columns, " + format_number(operations * 1e-9) +
            " GFLOP of products at " + format_number(operations * 1e-9 / pairs.seconds.solve) +
            " GFLOP/s, everything else included");
}

}  // namespace bilens
