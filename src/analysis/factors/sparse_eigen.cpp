#include "bilens/analysis/factors/sparse_eigen.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "bilens/analysis/eigen/lanczos.h"
#include "bilens/analysis/forms/interaction.h"
#include "bilens/analysis/forms/rounding_floor.h"
#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/core/text.h"
#include "bilens/tensor/device.h"
#include "bilens/tensor/random.h"
#include "eigen/dense_eigen.h"
#include "eigen/solver_limits.h"
#include "factors/factor_words.h"
#include "forms/directed_layer.h"
#include "forms/normalization.h"

namespace bilens {

namespace {

// The first shift as a share of ‖R‖₂. The larger it is, the more a support stays as it is: of the 40 random
// 18×18 problems of the tests 25 reach the best of all supports of 5 at ‖R‖₂ itself, and 35 at this.
constexpr double kFirstShift = 0.1;

/// The s largest entries of each vector [..., d], the others zero; unit length where that is possible.
at::Tensor truncate(const at::Tensor& x, const at::Tensor& support) {
  const auto kept = at::zeros_like(x).scatter_(-1, support, x.gather(-1, support));
  const auto norm = kept.norm(2, {-1}, true);
  return kept / at::where(norm > 0, norm, at::ones_like(norm));
}

/// Where those are, ascending: [..., s].
at::Tensor support_of(const at::Tensor& x, int64_t s) {
  return std::get<0>(std::get<1>(x.abs().topk(s, -1, true, /*sorted=*/false)).sort(-1));
}

/// Leading Ritz pairs of R [c, d, d] to a few digits, which is all that a start and a shift need.
RitzPairs leading_pairs(const at::Tensor& r, int64_t wanted) {
  const int64_t d = r.size(1);
  LanczosConfig config;
  config.wanted = std::min(wanted, d);
  config.tolerance = 1e-2;
  config.basis = std::min(d, kSmallestBasis);
  config.columns = 4 * config.basis;
  const auto start =
      at::randn({d}, make_generator(at::kCPU, derive_seed(0, "sparse eigen")), at::dtype(at::kDouble))
          .to(r.options());
  const auto apply = [&](const at::Tensor& x, const at::Tensor& which) {
    auto all = at::zeros({r.size(0), d}, x.options());
    all.index_copy_(0, which, x);
    return at::bmm(r, all.unsqueeze(2)).squeeze(2).index_select(0, which);
  };
  return lanczos(apply, r.size(0), start, {}, config);
}

/// The truncated power method for c symmetric matrices R from b starts each, in lockstep.
class Search {
 public:
  struct Best {
    at::Tensor vectors;     // [c, d]
    at::Tensor objective;   // [c], |xᵀRx|
    at::Tensor iterations;  // [c] int32
    at::Tensor converged;   // [c] bool
  };

  Search(const at::Tensor& r, int64_t s, const SparseEigenConfig& config) : r_(r), s_(s), config_(config) {}

  /// @param warm [c, w, d], further starts
  Best run(const at::Tensor& warm) {
    start(warm);
    for (int64_t step = 1; step <= config_.max_iterations && !done_.all().item<bool>(); ++step) {
      if (stop_requested()) throw Stopped{};
      advance(step);
    }
    const auto [value, best] = value_.max(1, /*keepdim=*/true);
    const auto row = best.unsqueeze(2).expand({-1, -1, x_.size(2)});
    return {x_.gather(1, row).squeeze(1), value.squeeze(1), iterations_.gather(1, best).squeeze(1),
            done_.gather(1, best).squeeze(1)};
  }

 private:
  void start(const at::Tensor& warm) {
    const int64_t c = r_.size(0), d = r_.size(1), count = std::min(config_.starts, d);
    const auto ritz = leading_pairs(r_, 2 * count);
    const auto theta = ritz.values.to(r_.options());
    limit_ = 1.01 * theta.abs().amax(1, true);  // ≥ ‖R‖₂, were Lanczos off by less than 1%
    // Rows of R with the most energy in s entries, after one step from their coordinate.
    const auto heavy = std::get<0>(r_.square().topk(s_, 2)).sum(2).topk(count, 1);
    const auto rows = std::get<1>(heavy).unsqueeze(2).expand({c, count, d});
    const auto coordinates = at::zeros_like(rows, r_.options()).scatter_(2, rows.narrow(2, 0, 1), 1.0);
    std::vector<at::Tensor> starts, signs;
    const auto add = [&](const at::Tensor& x, double sign) {
      starts.push_back(x);
      signs.push_back(at::full({1, x.size(1), 1}, sign, r_.options()));
    };
    for (const double sign : {1.0, -1.0}) {
      const auto leading = std::get<1>((sign * theta).topk(std::min(count, theta.size(1)), 1));
      add(ritz.vectors.gather(1, leading.unsqueeze(2).expand({-1, -1, d})), sign);
      add(sign * r_.gather(1, rows) + limit_.unsqueeze(2) * coordinates, sign);
      if (warm.defined()) add(warm, sign);
    }
    const auto all = at::cat(starts, 1);
    sign_ = at::cat(signs, 1);
    support_ = support_of(all, s_);
    x_ = truncate(all, support_);
    image_ = sign_ * at::bmm(x_, r_);
    value_ = (x_ * image_).sum(2);
    shift_ = (kFirstShift * limit_).expand_as(value_).clone();
    done_ = at::zeros({c, x_.size(1)}, r_.options().dtype(at::kBool));
    polished_ = at::zeros_like(done_);
    iterations_ = at::zeros_like(done_, at::kInt);
  }

  void advance(int64_t step) {
    const auto shifted = image_ + shift_.unsqueeze(2) * x_;
    const auto support = support_of(shifted, s_);
    const auto stays = support.eq(support_).all(2);
    done_ = done_.logical_or(stays.logical_and(polished_));
    const auto active = done_.logical_not();
    auto next = truncate(shifted, support);
    polish(stays.logical_and(active), next);
    const auto image = sign_ * at::bmm(next, r_);
    const auto value = (next * image).sum(2);
    const auto accepted = active.logical_and(value.gt(value_).logical_or(stays));
    const auto refused = active.logical_and(accepted.logical_not());
    // Refused at a shift that makes the form convex: only rounding is left.
    done_ = done_.logical_or(refused.logical_and(shift_ >= limit_));
    shift_ = at::where(refused, (2 * shift_).minimum(limit_), shift_);
    const auto take = [&](at::Tensor& old, const at::Tensor& fresh) {
      old = at::where(fresh.dim() == 3 ? accepted.unsqueeze(2) : accepted, fresh, old);
    };
    take(x_, next);
    take(image_, image);
    take(value_, value);
    take(support_, support);
    take(polished_, stays);
    iterations_ = at::where(active, at::full_like(iterations_, step), iterations_);
  }

  /// Puts the chosen x to the leading eigenvector of ±R on their supports.
  void polish(const at::Tensor& which, at::Tensor& x) const {
    const auto chosen = which.nonzero();  // [p, 2], matrix and start
    const int64_t tile = std::clamp<int64_t>(kTileBytes / (32 * s_ * s_), 1, 1 << 16);
    for (int64_t first = 0; first < chosen.size(0); first += tile) {
      const auto part = chosen.narrow(0, first, std::min(tile, chosen.size(0) - first));
      const auto matrix = part.select(1, 0), start = part.select(1, 1);
      const auto support = support_.index({matrix, start});
      const auto block = r_.index({matrix.view({-1, 1, 1}), support.unsqueeze(2), support.unsqueeze(1)});
      const auto signed_block = sign_.view({-1}).index_select(0, start).view({-1, 1, 1}) * block;
      const auto vectors = checked_eigh(signed_block.to(at::kDouble)).second;
      const auto leading = vectors.select(2, s_ - 1).to(x.scalar_type());
      x.index_put_({matrix, start},
                   at::zeros({part.size(0), x.size(2)}, x.options()).scatter_(1, support, leading));
    }
  }

  const at::Tensor& r_;
  int64_t s_;
  const SparseEigenConfig& config_;
  at::Tensor x_;                // [c, b, d]
  at::Tensor sign_;             // [1, b, 1]
  at::Tensor image_;            // ±Rx [c, b, d]
  at::Tensor value_;            // ±xᵀRx [c, b]
  at::Tensor shift_;            // [c, b]
  at::Tensor limit_;            // [c, 1], the largest shift that can be needed
  at::Tensor support_;          // [c, b, s]
  at::Tensor done_, polished_;  // [c, b] bool
  at::Tensor iterations_;       // [c, b] int32
};

/// All components at one s for matrices Q [c, d, d] float64 of largest entry 1.
/// @param floors [c], what rounding leaves of differences; else 0
SparseEigenPairs solve_chunk(const at::Tensor& q, const at::Tensor& floors, int64_t s, const at::Tensor& warm,
                             const SparseEigenConfig& config, Progress& progress) {
  const int64_t c = q.size(0), d = q.size(1), k = std::min(config.k, d);
  // What is left of Q within its rounding is nothing.
  const auto floor = floors.clamp_min(50 * machine_epsilon(config.dtype) * std::sqrt(static_cast<double>(s)));
  SparseEigenPairs pairs;
  pairs.sparsity = s;
  pairs.vectors = at::zeros({c, k, d}, q.options().dtype(config.dtype));
  pairs.objective = at::zeros({c, k}, q.options());
  pairs.iterations = at::zeros({c, k}, q.options().dtype(at::kInt));
  pairs.converged = at::zeros({c, k}, q.options().dtype(at::kByte));
  auto residual = q.to(config.dtype);
  for (int64_t j = 0; j < k; ++j) {
    const auto best = Search(residual, s, config).run(warm);
    const auto there = best.objective > floor;
    const auto mask = there.to(config.dtype);
    pairs.vectors.select(1, j).copy_(orient(best.vectors) * mask.unsqueeze(1));
    pairs.objective.select(1, j).copy_(best.objective * mask);
    pairs.iterations.select(1, j).copy_(best.iterations);
    pairs.converged.select(1, j).copy_(best.converged.logical_or(there.logical_not()));
    const auto x = pairs.vectors.narrow(1, 0, j + 1).to(at::kDouble);
    const auto values = (x.matmul(q) * x).sum(2, true);
    const auto coefficients = at::linalg_pinv(x.matmul(x.mT()).square(), 1e-12, true).matmul(values);
    residual = (q - (coefficients * x).mT().matmul(x)).to(config.dtype);
    progress.advance(c);
  }
  return pairs;
}

/// Directions of a difference without any component: no energy that could be shared out, nothing converged.
void mark_unchanged(const at::Tensor& floors, SparseEigenPairs& pairs) {
  const auto unchanged = floors.gt(0).logical_and(pairs.objective.select(1, 0).eq(0));
  const auto rows = unchanged.nonzero().squeeze(1);
  pairs.unchanged = rows.numel();
  pairs.converged.index_fill_(0, rows, 0);
  pairs.energy.total.index_fill_(0, rows, 0);
  for (auto* share : {&pairs.energy.diagonal, &pairs.energy.full, &pairs.energy.off_diagonal})
    share->index_fill_(0, rows, std::numeric_limits<double>::quiet_NaN());
}

/// Figures of the stored vectors, in float64 against Q [c, d, d]; `unit` [c, 1] is what Q is to be multiplied
/// by.
void measure(const at::Tensor& q, const at::Tensor& unit, SparseEigenPairs& pairs) {
  const auto x = pairs.vectors.to(at::kDouble);
  const auto cores = x.matmul(q).matmul(x.mT());
  pairs.energy = projection_energy(cores, x.matmul(x.mT()), q.square().sum(at::IntArrayRef{1, 2}));
  pairs.energy.total = pairs.energy.total * unit.squeeze(1).square();
  pairs.values = cores.diagonal(0, 1, 2) * unit;
  pairs.objective = pairs.objective * unit;
  pairs.measure = measure_sparsity(x);
}

void append(at::Tensor& all, const at::Tensor& chunk) {
  all = all.defined() ? at::cat({all, chunk.cpu()}) : chunk.cpu();
}

void append(SparseEigenPairs& all, const SparseEigenPairs& chunk) {
  all.sparsity = chunk.sparsity;
  all.unchanged += chunk.unchanged;
  for (const auto field :
       {&SparseEigenPairs::values, &SparseEigenPairs::vectors, &SparseEigenPairs::objective,
        &SparseEigenPairs::iterations, &SparseEigenPairs::converged}) {
    append(all.*field, chunk.*field);
  }
  for (const auto field : {&ProjectionEnergy::total, &ProjectionEnergy::diagonal, &ProjectionEnergy::full,
                           &ProjectionEnergy::off_diagonal}) {
    append(all.energy.*field, chunk.energy.*field);
  }
  for (const auto field : {&Sparsity::nonzeros, &Sparsity::participation, &Sparsity::hoyer})
    append(all.measure.*field, chunk.measure.*field);
}

std::vector<int64_t> ascending_path(const SparseEigenConfig& config, int64_t d) {
  std::vector<int64_t> path;
  for (const int64_t s : config.sparsity) path.push_back(std::clamp<int64_t>(s, 1, d));
  std::sort(path.begin(), path.end());
  path.erase(std::unique(path.begin(), path.end()), path.end());
  return path;
}

}  // namespace

const FieldTable<SparseEigenConfig>& SparseEigenConfig::fields() {
  using C = SparseEigenConfig;
  static const FieldTable<C> table =
      FieldTable<C>("Settings of the method \"sparse_eigen\".")
          .integers("sparsity", &C::sparsity, "The most nonzero entries of a vector; several: a path.",
                    at_least(1), "entries")
          .integer("starts", &C::starts,
                   "Starts for each sign of the form: so many eigenvectors of Q, and as many of its rows.",
                   between(1, 1000))
          .integer("max_iterations", &C::max_iterations, "Most iterations of one start.", between(1, 1e6));
  return table;
}

std::vector<SparseEigenPairs> solve_sparse_eigen(const EigenProblem& problem, at::Device device,
                                                 const SparseEigenConfig& config) {
  const auto directed = direct_layer(problem, device);
  const auto& layer = directed.layer;
  const int64_t n = layer.d_out(), h = layer.d_hidden(), d = layer.d_in();
  const auto path = ascending_path(config, d);
  const auto known = rounding_floors(problem.on(device), config.memory_limit);
  const auto floors =
      known.defined() ? known.to(layer.gate.device()) / directed.unit : at::zeros({n}, layer.gate.options());
  // Q, R and their temporaries, s ⊙ V, and the starts of both signs with their images.
  const int64_t bytes = 8 * (5 * d * d + h * d + 32 * config.starts * d);
  const int64_t chunk = std::clamp<int64_t>(config.memory_limit / bytes, 1, n);
  std::vector<SparseEigenPairs> all(path.size());
  BilinearLayer weights;
  weights.gate = layer.gate;
  weights.up = layer.up;
  Progress progress("sparse eigenvectors", n * std::min(config.k, d) * static_cast<int64_t>(path.size()),
                    "components");
  for (int64_t first = 0; first < n; first += chunk) {
    const int64_t count = std::min(chunk, n - first);
    auto q = InteractionOperator(weights, layer.down.narrow(0, first, count)).form(0, count, at::kDouble);
    const auto largest = q.abs().amax(at::IntArrayRef{1, 2});
    const auto unit = at::where(largest > 0, largest, at::ones_like(largest));
    q.div_(unit.view({-1, 1, 1}));
    at::Tensor warm;
    for (size_t i = 0; i < path.size(); ++i) {
      const auto floor = floors.narrow(0, first, count) / unit;
      auto pairs = solve_chunk(q, floor, path[i], warm, config, progress);
      warm = pairs.vectors;
      measure(q, unit.unsqueeze(1) * directed.unit, pairs);
      mark_unchanged(floor, pairs);
      append(all[i], pairs);
    }
  }
  for (auto& pairs : all) {
    require_held(pairs.values);
    pairs.floor = known;
  }
  return all;
}

namespace {

/// Stacks what `of` gives for each step of a path; undefined where it gives nothing.
at::Tensor stack_path(const std::vector<SparseEigenPairs>& path,
                      const std::function<at::Tensor(const SparseEigenPairs&)>& of) {
  std::vector<at::Tensor> steps;
  for (const auto& pairs : path) steps.push_back(of(pairs));
  return steps.front().defined() ? at::stack(steps) : at::Tensor();
}

}  // namespace

Factors to_factors(const std::vector<SparseEigenPairs>& path, at::ScalarType dtype) {
  using Pairs = SparseEigenPairs;
  SparseFactors found;
  found.vectors = stack_path(path, [&](const Pairs& p) { return p.vectors.to(dtype); });
  found.values = stack_path(path, [](const Pairs& p) { return p.values; });
  found.objective = stack_path(path, [](const Pairs& p) { return p.objective; });
  found.iterations = stack_path(path, [](const Pairs& p) { return p.iterations; });
  found.converged = stack_path(path, [](const Pairs& p) { return p.converged; });
  found.measure.nonzeros = stack_path(path, [](const Pairs& p) { return p.measure.nonzeros; });
  found.measure.participation = stack_path(path, [](const Pairs& p) { return p.measure.participation; });
  found.measure.hoyer = stack_path(path, [](const Pairs& p) { return p.measure.hoyer; });
  take_energy(found, {stack_path(path, [](const Pairs& p) { return p.energy.total; }),
                      stack_path(path, [](const Pairs& p) { return p.energy.diagonal; }),
                      stack_path(path, [](const Pairs& p) { return p.energy.full; }),
                      stack_path(path, [](const Pairs& p) { return p.energy.off_diagonal; })});
  std::string words;
  for (const auto& pairs : path) {
    found.sparsity.push_back(pairs.sparsity);
    words += (words.empty() ? "" : "; ") + std::to_string(pairs.vectors.size(1)) + " vectors of " +
             std::to_string(pairs.sparsity) + " entries, " +
             in_percent(mean_of_numbers(pairs.energy.diagonal.select(1, -1))) + " of the energy";
  }
  found.share_converged = mean_of_numbers(found.converged);
  name_unchanged(found, words, path.back().unchanged, path.back().floor);
  found.floor = path.back().floor;
  return {found, words, 0};
}

}  // namespace bilens
