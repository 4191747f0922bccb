#include "bilens/analysis/factors/rotation.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "bilens/analysis/forms/rounding_floor.h"
#include "bilens/core/stop.h"
#include "bilens/core/text.h"
#include "bilens/tensor/random.h"
#include "bilens/tensor/shape.h"
#include "factors/factor_words.h"
#include "forms/normalization.h"
#include "polar.h"

namespace bilens {

namespace {

/// The identity and random orthogonal matrices: [b, k, k].
at::Tensor start_rotations(int64_t k, const RotationConfig& config, const at::TensorOptions& options) {
  std::vector<at::Tensor> starts = {at::eye(k, options)};
  for (int64_t i = 1; i < config.starts; ++i) {
    const auto noise = at::randn({k, k}, make_generator(at::kCPU, derive_seed(config.seed, "rotation", i)),
                                 at::dtype(at::kDouble));
    starts.push_back(polar(noise).to(options));
  }
  return at::stack(starts);
}

at::Tensor sum_of_fourth_powers(const at::Tensor& z) { return z.pow(4).sum(at::IntArrayRef{-2, -1}); }

struct Rotations {
  at::Tensor o;           // [n, b, k, k]
  at::Tensor iterations;  // [n, b] int32
  at::Tensor converged;   // [n, b] bool
};

Rotations iterate(const at::Tensor& x, const RotationConfig& config) {
  const int64_t n = x.size(0), k = x.size(1), b = std::max<int64_t>(config.starts, 1);
  const double tolerance = config.tolerance * std::sqrt(static_cast<double>(k));
  // Problems n·b in a row; those that have converged leave.
  auto o = start_rotations(k, config, x.options()).repeat({n, 1, 1});
  auto iterations = at::zeros({n * b}, x.options().dtype(at::kInt));
  auto active = at::arange(n * b, iterations.options().dtype(at::kLong));
  for (int64_t step = 0; step < config.max_iterations && active.numel() > 0; ++step) {
    if (stop_requested()) throw Stopped{};
    const auto own = x.index_select(0, active.div(b, "floor")), last = o.index_select(0, active);
    const auto next = polar(last.matmul(own).pow(3).matmul(own.mT()));
    o.index_copy_(0, active, next);
    iterations.index_add_(0, active, at::ones_like(active, at::kInt));
    active = active.index({(next - last).norm(2, {1, 2}) > tolerance});
  }
  const auto converged = at::ones({n * b}, active.options().dtype(at::kBool)).index_fill(0, active, false);
  return {o.view({n, b, k, k}), iterations.view({n, b}), converged.view({n, b})};
}

}  // namespace

const FieldTable<RotationConfig>& RotationConfig::fields() {
  using C = RotationConfig;
  static const FieldTable<C> table =
      FieldTable<C>("Settings of the method \"rotate\".")
          .integer("starts", &C::starts, "Starts: the eigenvectors themselves, and random rotations of them.",
                   between(1, 1000))
          .integer("max_iterations", &C::max_iterations, "Most iterations of one start.", between(1, 1e6))
          .number("tolerance", &C::tolerance,
                  "Stops when an iteration changes the rotation by less than this, as a Frobenius norm over "
                  "sqrt(k).",
                  more_than(0.0))
          .integer("seed", &C::seed, "Seed of the random rotations.", at_least(0));
  return table;
}

RotatedBasis rotate_eigenspaces(const EigenPairs& pairs, at::Device device, const RotationConfig& config) {
  require_finite(pairs.eigenvectors, "eigenvectors");
  require_finite(pairs.eigenvalues, "eigenvalues");
  const auto x = pairs.eigenvectors.to(device, at::kDouble);
  // Each direction's values over a power of two, for float64 holds squares of those near 1 alone.
  const auto powers = binary_exponent(pairs.eigenvalues.abs().amax(1)).cpu();
  const auto exponents = at::where(powers.isfinite(), powers, at::zeros_like(powers));
  const auto values = scale_by_power(pairs.eigenvalues.cpu(), -exponents.unsqueeze(1));
  const auto theta = values.to(device, at::kDouble);
  const int64_t k = x.size(1);
  const auto found = iterate(x, config);

  const auto objectives = sum_of_fourth_powers(found.o.matmul(x.unsqueeze(1)));  // [n, b]
  const auto [objective, best] = objectives.max(1, /*keepdim=*/true);
  auto o = found.o.gather(1, best.view({-1, 1, 1, 1}).expand({-1, 1, k, k})).squeeze(1);
  const auto size = (o.square() * theta.unsqueeze(1)).sum(2).abs();
  const auto order = size.argsort(/*stable=*/true, 1, /*descending=*/true).unsqueeze(2);
  o = o.gather(1, order.expand({-1, -1, k}));
  const auto z = o.matmul(x), oriented = orient(z);
  o = o * (z * oriented).sum(2, true).sign();

  RotatedBasis basis;
  basis.vectors = oriented.cpu();
  basis.rotation = o.cpu();
  basis.objective = objective.squeeze(1).cpu();
  basis.start_objective = sum_of_fourth_powers(x).cpu();
  basis.iterations = found.iterations.gather(1, best).squeeze(1).cpu();
  basis.converged = found.converged.gather(1, best).squeeze(1).to(at::kByte).cpu();
  basis.agreeing = objectives.ge(objective * (1 - 1e-6)).sum(1).to(at::kInt).cpu();
  const auto cores = (o * theta.unsqueeze(1)).matmul(o.mT()).cpu();
  basis.values = scale_by_power(cores.diagonal(0, 1, 2), exponents.unsqueeze(1)).contiguous();
  const auto total = pairs.frobenius.defined() ? scale_by_power(pairs.frobenius.cpu(), -exponents).square()
                                               : values.square().sum(1);
  basis.energy = projection_energy(cores, at::eye(k, cores.options()).expand_as(cores), total);
  if (!pairs.frobenius.defined()) basis.energy = {{}, {}, {}, basis.energy.off_diagonal};
  basis.measure = measure_sparsity(basis.vectors);
  const auto unchanged = pairs.unchanged_directions();
  basis.floor = pairs.floor;
  basis.unchanged = unchanged.numel();
  basis.converged.index_fill_(0, unchanged, 0);
  for (auto* share : {&basis.energy.diagonal, &basis.energy.full, &basis.energy.off_diagonal}) {
    if (share->defined()) share->index_fill_(0, unchanged, std::numeric_limits<double>::quiet_NaN());
  }
  return basis;
}

Factors to_factors(const RotatedBasis& basis, at::ScalarType dtype) {
  RotatedFactors found;
  found.vectors = basis.vectors.to(dtype);
  found.rotation = basis.rotation;
  found.values = basis.values;
  found.objective = basis.objective;
  found.start_objective = basis.start_objective;
  found.iterations = basis.iterations;
  found.converged = basis.converged;
  found.agreeing = basis.agreeing;
  take_energy(found, basis.energy);
  found.measure = basis.measure;
  found.share_converged = mean_of_numbers(basis.converged);
  found.mean_objective = mean_of_numbers(basis.objective);
  found.mean_start_objective = mean_of_numbers(basis.start_objective);
  found.mean_off_diagonal = mean_of_numbers(basis.energy.off_diagonal);
  std::string words = "rotated to a fourth moment of " + format("%.3g", found.mean_objective) + " from " +
                      format("%.3g", found.mean_start_objective) + ", " +
                      in_percent(found.mean_off_diagonal) + " of the core off its diagonal";
  name_unchanged(found, words, basis.unchanged, basis.floor);
  return {found, words, 0};
}

}  // namespace bilens
