#include "bilens/analysis/effective_rank.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "bilens/analysis/lanczos.h"
#include "bilens/core/progress.h"
#include "bilens/tensor/random.h"
#include "matrix_free.h"
#include "scaled_problem.h"
#include "solver_limits.h"

namespace bilens {

namespace {

/// Probe z: uniform on the unit sphere, [r].
at::Tensor random_direction(int64_t r, uint64_t seed, int64_t probe, const at::TensorOptions& options) {
  const auto generator = make_generator(at::kCPU, derive_seed(seed, "effective rank", probe));
  const auto z = at::randn({r}, generator, at::dtype(at::kDouble));
  return (z / z.norm()).to(options);
}

int64_t directions_at_once(const ScaledProblem& scaled, const EffectiveRankConfig& config) {
  const auto width = static_cast<int64_t>(c10::elementSize(config.dtype));
  const int64_t weights =
      3 * width * 2 * scaled.hidden() * scaled.rank();  // and arranged for narrow products
  // The basis and its Ritz vectors, an image under [W; V] twice, S.
  const int64_t each = width * (2 * (config.steps + 3) * scaled.rank() + 7 * scaled.hidden());
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
  const int64_t n = scaled.count(), r = scaled.rank(), chunk = directions_at_once(scaled, config);
  const auto stack = scaled.take_stack(chunk);
  LanczosConfig quadrature;
  quadrature.wanted = quadrature.basis = quadrature.columns = std::min(config.steps, r);
  quadrature.guards = 0;
  // Of each direction and probe, in units of the scaled operator: r·zᵀ|Q|z and r·zᵀQ²z.
  auto absolute = at::empty({n, config.probes}, at::kDouble), square = at::empty_like(absolute);
  auto units = at::empty({n}, at::kDouble);
  Progress progress("effective rank", n * config.probes, "probes");
  for (int64_t first = 0; first < n; first += chunk) {
    const int64_t count = std::min(chunk, n - first);
    const auto scales = scaled.exact(first, count).scales();
    const auto operators = matrix_free(stack, scaled.scaled(scales));
    units.narrow(0, first, count).copy_(scaled.units(scales));
    for (int64_t probe = 0; probe < config.probes; ++probe) {
      const auto z = random_direction(r, config.seed, probe, at::dtype(config.dtype).device(device));
      const auto ritz = lanczos(operators, count, z, {}, quadrature);
      const auto weights = ritz.vectors.matmul(z).to(at::kCPU, at::kDouble).square();
      const auto mean = [&](const at::Tensor& f) { return (weights * f).sum(1) / weights.sum(1); };
      absolute.narrow(0, first, count)
          .select(1, probe)
          .copy_(static_cast<double>(r) * mean(ritz.values.abs()));
      square.narrow(0, first, count)
          .select(1, probe)
          .copy_(static_cast<double>(r) * mean(ritz.values.square()));
      progress.advance(count);
    }
  }
  return estimate(absolute, square,
                  squared_frobenius.defined() ? squared_frobenius.cpu() / units.square() : at::Tensor());
}

}  // namespace bilens
