#include "bilens/analysis/eigen/effective_rank.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "bilens/analysis/eigen/lanczos.h"
#include "bilens/core/progress.h"
#include "bilens/tensor/random.h"
#include "forms/matrix_free.h"
#include "forms/normalization.h"
#include "scaled_problem.h"
#include "solver_limits.h"

namespace bilens {

namespace {

/// Probes z uniform on the unit sphere, [probes, r].
at::Tensor random_directions(int64_t r, const EffectiveRankConfig& config) {
  std::vector<at::Tensor> probes;
  for (int64_t probe = 0; probe < config.probes; ++probe) {
    const auto generator = make_generator(at::kCPU, derive_seed(config.seed, "effective rank", probe));
    probes.push_back(at::randn({r}, generator, at::dtype(at::kDouble)));
  }
  const auto z = at::stack(probes);
  return z / z.norm(2, {1}, true);
}

/// Pairs of a direction and a probe that fit the memory limit.
int64_t pairs_at_once(const ScaledProblem& scaled, const EffectiveRankConfig& config) {
  const auto width = static_cast<int64_t>(c10::elementSize(config.dtype));
  const int64_t weights =
      3 * width * 2 * scaled.hidden() * scaled.rank();  // and arranged for narrow products
  // The basis and its Ritz vectors, an image under [W; V] twice, S twice.
  const int64_t each = width * (2 * (config.steps + 3) * scaled.rank() + 8 * scaled.hidden());
  return std::clamp<int64_t>((config.memory_limit - weights) / each, 1, kLargestChunk);
}

/// Out of each probe's x = r·zᵀ|Q|z and y = r·zᵀQ²z, [n, probes].
/// @param known Σλ² [n], or undefined
EffectiveRank estimate(const at::Tensor& x, const at::Tensor& y, const at::Tensor& known) {
  const auto probes = static_cast<double>(x.size(1));
  auto mean_x = x.mean(1, true), squares = y.mean(1, true);
  const auto quotient = [](const at::Tensor& a, const at::Tensor& b) {
    return at::where(b > 0, a / b, at::zeros_like(a));
  };
  at::Tensor slope;             // errors of x are this many of y's ...
  double freedom = probes - 1;  // ... and what is left has so many degrees of freedom
  auto one_over_n = at::full_like(squares, 1 / probes);
  if (known.defined()) {
    // y is a control variate of known mean: x is read off its regression on y where y is that.
    const auto dx = x - mean_x, dy = y - squares, off = known.unsqueeze(1) - squares;
    const auto spread = dy.square().sum(1, true);
    slope = quotient((dx * dy).sum(1, true), spread);
    freedom = probes - 2;
    one_over_n += quotient(off.square(), spread);
    mean_x = mean_x + slope * off;
    squares = known.unsqueeze(1);
  } else {
    slope = quotient(mean_x, 2 * squares);  // R = X²/Y: dR = (2X/Y)(dX − (X/2Y)dY)
  }
  const auto ratio = quotient(mean_x, squares), rest = x - slope * y;
  const auto variance = (rest - rest.mean(1, true)).square().sum(1, true) / freedom;
  return {(mean_x * ratio).squeeze(1), (2 * ratio * (variance * one_over_n).sqrt()).squeeze(1)};
}

}  // namespace

EffectiveRank effective_rank(const EigenProblem& problem, at::Device device,
                             const EffectiveRankConfig& config, const at::Tensor& squared_frobenius) {
  check_layer(problem.layer, "layer");
  ScaledProblem scaled(problem, device, config.dtype);
  const int64_t r = scaled.rank(), probes = config.probes, all = scaled.count() * probes;
  const int64_t chunk = pairs_at_once(scaled, config);
  const auto stack = scaled.take_stack(chunk);
  const auto z = random_directions(r, config).to(device, config.dtype);
  LanczosConfig quadrature;
  quadrature.wanted = quadrature.basis = quadrature.columns = std::min(config.steps, r);
  quadrature.guards = 0;
  // r·zᵀ|Q|z and r·zᵀQ²z of each direction and probe, in units of the scaled operator.
  auto absolute = at::empty({all}, at::kDouble), square = at::empty_like(absolute);
  auto units = at::empty({scaled.count()}, at::kDouble);
  Progress progress("effective rank", all, "probes");
  for (int64_t first = 0; first < all; first += chunk) {
    const int64_t count = std::min(chunk, all - first);
    const int64_t from = first / probes, to = (first + count - 1) / probes + 1;
    const auto exact = scaled.exact(from, to - from);
    const auto scales = exact.q.scales();
    units.narrow(0, from, to - from).copy_(scale_by_power(scaled.units(scales).cpu(), exact.exponents));
    const auto pair = at::arange(first, first + count, z.options().dtype(at::kLong));
    const auto of_pairs = scaled.scaled(scales).index_select(0, pair.div(probes, "floor") - from);
    const auto start = z.index_select(0, pair.remainder(probes));
    const auto ritz = lanczos(matrix_free(stack, of_pairs), count, start, {}, quadrature);
    const auto weights =
        ritz.vectors.matmul(start.unsqueeze(2)).squeeze(2).to(at::kCPU, at::kDouble).square();
    const auto mean = [&](const at::Tensor& f) { return (weights * f).sum(1) / weights.sum(1); };
    absolute.narrow(0, first, count).copy_(static_cast<double>(r) * mean(ritz.values.abs()));
    square.narrow(0, first, count).copy_(static_cast<double>(r) * mean(ritz.values.square()));
    progress.advance(count);
  }
  absolute = absolute.view({-1, probes});
  square = square.view({-1, probes});
  return estimate(absolute, square,
                  squared_frobenius.defined() ? squared_frobenius.cpu() / units.square() : at::Tensor());
}

}  // namespace bilens
