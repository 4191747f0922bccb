#include "bilens/analysis/eigen.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "bilens/analysis/certificate.h"
#include "bilens/analysis/effective_rank.h"
#include "bilens/analysis/eigen_plan.h"
#include "bilens/analysis/gram.h"
#include "bilens/analysis/lanczos.h"
#include "bilens/core/error.h"
#include "bilens/core/log.h"
#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/tensor/device.h"
#include "bilens/tensor/random.h"
#include "candidates.h"
#include "matrix_free.h"
#include "normalization.h"
#include "scaled_problem.h"
#include "solver_limits.h"
#include "spectrum.h"

namespace bilens {

namespace {

/// Adds the time since the last lap to a sum. Work on a GPU counts where its result is waited for.
class Stopwatch {
 public:
  void lap(double& sum) {
    const auto now = std::chrono::steady_clock::now();
    sum += std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

/// A chunk's eigenpairs over the input, in float64 on the device.
struct Refined {
  at::Tensor vectors;    // [c, k, d]
  at::Tensor values;     // [c, k] CPU
  at::Tensor residuals;  // [c, k] CPU, norms, not relative
  at::Tensor beyond;     // [c] CPU: the λ of largest size that a probe saw outside these, or NaN
};

SymmetricOperators formed(const at::Tensor& matrices) {
  return [matrices](const at::Tensor& x, const at::Tensor& which) {
    auto all = at::zeros({matrices.size(0), x.size(1)}, x.options());
    all.index_copy_(0, which, x);
    return at::bmm(matrices, all.unsqueeze(2)).squeeze(2).index_select(0, which);
  };
}

at::Tensor random_start(int64_t r, const char* purpose, const at::TensorOptions& options) {
  return at::randn({r}, make_generator(at::kCPU, derive_seed(0, purpose)), at::dtype(at::kDouble))
      .to(options);
}

class ChunkSolver {
 public:
  ChunkSolver(const EigenProblem& problem, at::Device device, const EigenConfig& config,
              const EigenPlan& plan)
      : config_(config), plan_(plan), scaled_(problem, device, config.dtype), d_(scaled_.dimension()) {
    k_ = std::min(config.k, d_);
    Stopwatch watch;
    if (plan.solver == EigenSolver::kLanczos) stack_ = scaled_.take_stack(plan.packed ? plan.chunk : 0);
    unit_traces_ = scaled_.exact(0, 1).unit_traces();
    watch.lap(prepare_seconds_);
    if (plan.energy_operations > 0) {
      squared_frobenius_ = squared_frobenius(problem.on(device), 4 * kTileBytes).cpu();
      watch.lap(energy_seconds_);
    }
  }

  int64_t count() const { return scaled_.count(); }

  EigenPairs solve(int64_t first, int64_t count) {
    Stopwatch watch;
    EigenPairs pairs;
    pairs.solver = plan_.solver;
    pairs.seconds.form = std::exchange(prepare_seconds_, 0.0);
    pairs.seconds.energy = std::exchange(energy_seconds_, 0.0);
    const auto exact = scaled_.exact(first, count);
    const auto scales = scaled_.scaled(exact.scales());
    const auto units = scaled_.units(exact.scales()).cpu();
    SymmetricOperators operators;
    at::Tensor matrices;
    if (plan_.solver == EigenSolver::kFormed) {
      matrices = scaled_.operators(scales).form(0, count, config_.dtype);
      operators = formed(matrices);
    } else if (plan_.solver == EigenSolver::kLanczos) {
      operators = matrix_free(*stack_, scales);
    }
    watch.lap(pairs.seconds.form);
    auto found = candidates(scales, operators);
    watch.lap(pairs.seconds.solve);
    auto refined = refine(exact, over_input(found), !found.whole);
    if (plan_.solver == EigenSolver::kDense) solve_again(exact, scales, found, refined);
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
    write(refined, found, spectra, pairs);
    pairs.trace = exact.scales().mv(unit_traces_).cpu();
    add_energy(first, matrices, units, found, spectra, pairs);
    if (config_.estimate_rank) estimate_rank(exact, found.whole, pairs);
    watch.lap(pairs.seconds.check);
    if (plan_.solver == EigenSolver::kLanczos) report_rate(pairs, found);
    return pairs;
  }

 private:
  double lanczos_tolerance() const { return 0.4 * residual_tolerance(config_); }

  Candidates candidates(const at::Tensor& scales, const SymmetricOperators& operators) const {
    if (plan_.solver == EigenSolver::kDense) return solve_dense(scaled_.operators(scales), k_, config_.dtype);
    if (plan_.solver == EigenSolver::kLowRank) return solve_low_rank(scaled_.operators(scales), k_);
    LanczosConfig lanczos_config;
    lanczos_config.wanted = k_;
    lanczos_config.guards = kGuards;
    lanczos_config.tolerance = lanczos_tolerance();
    lanczos_config.basis = plan_.basis;
    lanczos_config.columns = 12 * plan_.basis;
    const auto ritz = lanczos(operators, scales.size(0),
                              random_start(scaled_.rank(), "lanczos", scales.options()), {}, lanczos_config);
    const auto chosen = choose(ritz.values.contiguous(), k_, machine_epsilon(config_.dtype));
    const auto index = chosen.to(ritz.vectors.device()).unsqueeze(2).expand({-1, -1, scaled_.rank()});
    return {ritz.values, ritz.vectors.gather(1, index), chosen, ritz.columns, false};
  }

  /// The candidates' vectors over the input, [c, k, d] float64, with null vectors where k exceeds what is
  /// known.
  at::Tensor over_input(const Candidates& found) const {
    const auto x = scaled_.lift(found.vectors.to(at::kDouble));
    const int64_t missing = k_ - x.size(1);
    if (missing <= 0) return x;
    return at::cat({x, scaled_.null_vectors(missing).unsqueeze(0).expand({x.size(0), missing, d_})}, 1);
  }

  /// Rayleigh quotients in float64 against the weights as stored; with `mix` after a Rayleigh–Ritz step in
  /// the span.
  Refined refine(const InteractionOperator& exact, at::Tensor x, bool mix) const {
    if (mix) {
      x = std::get<0>(at::linalg_qr(x.mT())).mT().contiguous();
    } else {
      x = x / x.norm(2, {2}, true);
    }
    auto qx = exact.apply(x);
    if (mix) {
      const auto h = x.matmul(qx.mT());
      const auto rotation = std::get<1>(at::linalg_eigh((h + h.mT()) * 0.5)).mT();
      x = rotation.matmul(x);
      qx = rotation.matmul(qx);
    }
    const auto values = (x * qx).sum(2, true);
    return {x, values.squeeze(2).cpu(), (qx - x * values).norm(2, {2}).cpu(),
            at::full({x.size(0)}, std::numeric_limits<double>::quiet_NaN(), at::kDouble)};
  }

  /// A library's float32 may be off by more than is asked for (cuSOLVER's is, in some of 2048 eigenpairs):
  /// such directions one after the other in float64.
  void solve_again(const InteractionOperator& exact, const at::Tensor& scales, Candidates& found,
                   Refined& refined) const {
    const auto norms = refined.values.abs().amax(1);
    const auto off = refined.residuals.amax(1).gt(0.8 * residual_tolerance(config_) * norms);
    for (int64_t i = 0; i < off.size(0); ++i) {
      if (config_.dtype == at::kDouble || !off[i].item<bool>()) continue;
      const auto one = at::full({1}, i, scales.options().dtype(at::kLong));
      const auto better = solve_dense(scaled_.operators(scales.index_select(0, one)), k_, at::kDouble);
      const auto again = refine(exact.select(one), over_input(better), false);
      refined.vectors[i].copy_(again.vectors[0]);
      refined.values[i].copy_(again.values[0]);
      refined.residuals[i].copy_(again.residuals[0]);
      found.values[i].copy_(better.values[0]);
      found.chosen[i].copy_(better.chosen[0]);
    }
  }

  /// Looks for eigenvalues beyond |λ_k| that are missing, by a few Lanczos columns of the deflated operator
  /// from another random start (a Ritz value is never larger than the largest |λ|, so a hit is one), and
  /// takes them in.
  void probe(const InteractionOperator& exact, const SymmetricOperators& operators, at::Tensor which,
             Refined& refined, EigenPairs& pairs) const {
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
      look.basis = look.columns = std::min(kProbeColumns, r - k_);
      const auto start = random_start(r, "probe", options);
      const auto seen = lanczos(part, which.numel(), start, locked, look).values.select(1, 0) *
                        units.index_select(0, which);
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

  /// The k largest out of k known and some further eigenvectors.
  void merge(const InteractionOperator& exact, const at::Tensor& which, const RitzPairs& extra,
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

  void certify(const InteractionOperator& exact, const SymmetricOperators& operators,
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

  /// Orders, orients and rounds the eigenvectors; residuals, gaps, clusters.
  void write(const Refined& refined, const Candidates& found, const at::Tensor& spectra,
             EigenPairs& pairs) const {
    const int64_t c = refined.values.size(0), q = spectra.size(1), known = found.chosen.size(1);
    const double eps = machine_epsilon(config_.dtype);
    const auto values = refined.values.contiguous();
    pairs.vector_error = at::zeros({c, k_}, at::kDouble);
    pairs.effective_rank = at::zeros({c}, at::kDouble);
    pairs.cluster = at::zeros({c, k_}, at::kInt);
    pairs.tie_at_k = at::zeros({c}, at::kByte);
    pairs.columns = found.columns;
    auto order = at::empty({c, k_}, at::kLong);
    auto norms = at::empty({c, 1}, at::kDouble);
    for (int64_t i = 0; i < c; ++i) {
      // The k refined ones, then what else is known (a probe may see a guard again).
      const auto* own = values.const_data_ptr<double>() + i * k_;
      const auto* all = spectra.const_data_ptr<double>() + i * q;
      std::vector<double> joined(own, own + k_);
      std::vector<bool> taken(q, false);
      for (int64_t j = 0; j < known; ++j) taken[found.chosen[i][j].item<int64_t>()] = true;
      for (int64_t j = 0; j < q; ++j)
        if (!taken[j]) joined.push_back(all[j]);
      if (const double beyond = refined.beyond[i].item<double>(); !std::isnan(beyond))
        joined.push_back(beyond);
      const Spectrum spectrum{joined.data(), static_cast<int64_t>(joined.size()), d_, found.whole};
      const double norm = spectrum.norm(), tie = kTieFactor * eps * norm;
      const auto ranks = order_of(own, k_, tie);
      // An eigenvalue is within its residual of the truth: two that are closer than that are not told apart.
      const double blur = std::max(tie, 2 * refined.residuals[i].max().item<double>());
      int32_t cluster = 0;
      for (int64_t j = 0; j < k_; ++j) {
        order[i][j] = ranks[j];
        const double gap = spectrum.gap(ranks[j]), residual = refined.residuals[i][ranks[j]].item<double>();
        pairs.vector_error[i][j] = gap > 0 ? std::min(residual / gap, 1.0) : 1.0;
        if (j > 0 && std::abs(own[ranks[j]] - own[ranks[j - 1]]) > blur) ++cluster;
        pairs.cluster[i][j] = cluster;
      }
      norms[i][0] = norm > 0 ? norm : 1.0;
      pairs.effective_rank[i] = spectrum.effective_rank();
      pairs.tie_at_k[i] =
          static_cast<int64_t>(spectrum.tie_at(k_, order_of(joined.data(), spectrum.known, tie), blur));
    }
    pairs.eigenvalues = values.gather(1, order);
    const auto rows = order.to(refined.vectors.device()).unsqueeze(2).expand({c, k_, d_});
    const auto x = orient(refined.vectors.gather(1, rows));
    const auto rounded = x.to(config_.dtype);
    // (Q − λ)(v + δ): rounding adds at most 2‖Q‖‖δ‖ to the residual of what is stored.
    const auto rounding = (rounded.to(at::kDouble) - x).norm(2, {2}).cpu();
    pairs.eigenvectors = rounded.cpu();
    pairs.residuals = refined.residuals.gather(1, order) / norms + 2 * rounding;
    pairs.converged = pairs.residuals.amax(1).le(residual_tolerance(config_)).to(at::kByte);
  }

  void add_energy(int64_t first, const at::Tensor& matrices, const at::Tensor& units, const Candidates& found,
                  const at::Tensor& spectra, EigenPairs& pairs) const {
    if (!plan_.energy) return;
    if (squared_frobenius_.defined()) {
      pairs.frobenius = squared_frobenius_.narrow(0, first, spectra.size(0)).sqrt();
    } else if (found.whole) {
      pairs.frobenius = spectra.norm(2, {1});
    } else {
      pairs.frobenius = matrices.to(at::kDouble).norm(2, {1, 2}).cpu() * units;
    }
    const auto total = pairs.frobenius.square().unsqueeze(1);
    const auto share = pairs.eigenvalues.square().cumsum(1) / total;
    pairs.weight_energy = at::where(total > 0, share, at::ones_like(share));
  }

  /// From random probes (effective_rank.h), unless the whole spectrum was at hand.
  void estimate_rank(const InteractionOperator& exact, bool whole, EigenPairs& pairs) const {
    pairs.effective_rank_error = at::zeros_like(pairs.effective_rank);
    if (whole) return;
    EffectiveRankConfig probes;
    probes.dtype = config_.dtype;
    probes.memory_limit = config_.memory_limit / 2;  // Lanczos still holds its weights
    const auto squares = pairs.frobenius.defined() ? pairs.frobenius.square() : at::Tensor();
    const auto rank = effective_rank({exact.layer(), exact.embed(), exact.directions()},
                                     unit_traces_.device(), probes, squares);
    pairs.effective_rank = rank.value;
    pairs.effective_rank_error = rank.standard_error;
  }

  void report_rate(const EigenPairs& pairs, const Candidates& found) const {
    const double columns = found.columns.sum().item<double>();
    const double operations = columns * 8 * static_cast<double>(scaled_.hidden() * scaled_.rank());
    log_debug("lanczos: " + format_number(columns) + " columns, " + format_number(operations * 1e-9) +
              " GFLOP of products at " + format_number(operations * 1e-9 / pairs.seconds.solve) +
              " GFLOP/s, everything else included");
  }

  const EigenConfig& config_;
  const EigenPlan& plan_;
  ScaledProblem scaled_;
  std::optional<PackedMatrix> stack_;  // [W; V], for Lanczos without forming
  int64_t d_, k_ = 0;
  at::Tensor unit_traces_;        // [h]
  at::Tensor squared_frobenius_;  // [n] CPU, with exact energy of a Lanczos solver
  double prepare_seconds_ = 0, energy_seconds_ = 0;
};

/// Appends the rows of one chunk.
void append(EigenPairs& all, const EigenPairs& chunk) {
  if (!all.eigenvalues.defined()) {
    all = chunk;
    return;
  }
  for (const auto field :
       {&EigenPairs::eigenvalues, &EigenPairs::eigenvectors, &EigenPairs::residuals, &EigenPairs::trace,
        &EigenPairs::frobenius, &EigenPairs::weight_energy, &EigenPairs::vector_error,
        &EigenPairs::effective_rank, &EigenPairs::effective_rank_error, &EigenPairs::converged,
        &EigenPairs::columns, &EigenPairs::cluster, &EigenPairs::tie_at_k, &EigenPairs::certified_bound}) {
    if ((all.*field).defined()) all.*field = at::cat({all.*field, chunk.*field});
  }
  all.repaired += chunk.repaired;
  for (const auto part :
       {&EigenPairs::Seconds::form, &EigenPairs::Seconds::solve, &EigenPairs::Seconds::check,
        &EigenPairs::Seconds::probe, &EigenPairs::Seconds::certify, &EigenPairs::Seconds::energy}) {
    all.seconds.*part += chunk.seconds.*part;
  }
}

}  // namespace

EigenProblem EigenProblem::on(at::Device device) const {
  const auto moved = [&](const at::Tensor& tensor) { return tensor.defined() ? tensor.to(device) : tensor; };
  return {layer.on(device), moved(embed), moved(directions)};
}

const char* solver_name(EigenSolver solver) {
  switch (solver) {
    case EigenSolver::kDense: return "dense";
    case EigenSolver::kLowRank: return "low_rank";
    case EigenSolver::kLanczos: return "lanczos";
    case EigenSolver::kFormed: return "formed";
    default: return "auto";
  }
}

EigenSolver solver_from_name(const std::string& name) {
  for (const auto solver :
       {EigenSolver::kDense, EigenSolver::kLowRank, EigenSolver::kLanczos, EigenSolver::kFormed}) {
    if (name == solver_name(solver)) return solver;
  }
  throw Error(ExitCode::kBadInput, {"solver", "dense, low_rank, lanczos or formed", "\"" + name + "\"", ""});
}

double residual_tolerance(const EigenConfig& config) {
  return config.tolerance.value_or(config.dtype == at::kDouble ? 1e-10 : 5e-6);
}

void solve_eigen(const EigenProblem& problem, at::Device device, const EigenConfig& config, int64_t first,
                 const EigenSink& sink) {
  check_layer(problem.layer, "layer");
  const auto plan = plan_eigen(eigen_sizes(problem, config.k), device, config);
  log_debug(plan.describe());
  ChunkSolver solver(problem, device, config, plan);
  const int64_t n = solver.count();
  Progress progress("decompose", n, "directions", first);
  while (first < n) {
    if (stop_requested()) throw Stopped{};
    const int64_t count = std::min(plan.chunk, n - first);
    sink(first, solver.solve(first, count));
    progress.advance(count);
    first += count;
  }
}

EigenPairs solve_eigen(const EigenProblem& problem, at::Device device, const EigenConfig& config) {
  EigenPairs all;
  solve_eigen(problem, device, config, 0, [&](int64_t, const EigenPairs& chunk) { append(all, chunk); });
  return all;
}

}  // namespace bilens
