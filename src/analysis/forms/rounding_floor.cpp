#include "bilens/analysis/forms/rounding_floor.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "bilens/analysis/forms/interaction.h"
#include "eigen/spectrum.h"
#include "normalization.h"

namespace bilens {

namespace {

constexpr double kDoubleEps = std::numeric_limits<double>::epsilon();

/// ‖Q_u‖²_F of all directions, [n]: by a Gram matrix, or by forming a few matrices where that is less work.
at::Tensor squared_sizes(const EigenProblem& problem, int64_t memory_limit) {
  const int64_t n = problem.count();
  if (n * problem.dimension() > 2 * problem.layer.d_hidden()) return squared_frobenius(problem, memory_limit);
  const InteractionOperator q(problem.layer, problem.directions, problem.embed);
  auto squares = at::empty({n}, problem.layer.gate.options().dtype(at::kDouble));
  for (int64_t i = 0; i < n; ++i) squares[i] = q.form(i, 1, at::kDouble).square().sum();
  return squares;
}

/// ‖Q_u‖_F of all directions, [n] on the CPU, of weights scaled so that squares neither overflow nor vanish.
at::Tensor sizes(EigenProblem problem, int64_t memory_limit) {
  double mantissa = 1, exponent = 0;  // of all units together: products of some may be out of range
  const auto scale = [&](at::Tensor& weight, int times) {
    double unit = 1;
    weight = scale_to_one(weight, weight.scalar_type(), unit);
    int power = 0;
    const double own = std::frexp(unit, &power);
    for (int i = 0; i < times; ++i) mantissa *= own, exponent += power;
  };
  auto& layer = problem.layer;
  for (auto* weight : {&layer.gate, &layer.up, &layer.down}) scale(*weight, 1);
  if (problem.embed.defined()) scale(problem.embed, 2);
  const auto scaled = squared_sizes(problem, memory_limit).sqrt().cpu() * mantissa;
  return scale_by_power(scaled, at::full_like(scaled, exponent));
}

/// The problem with one of the parts that its layer is made of in the layer's place.
EigenProblem with_part(const EigenProblem& problem, const BilinearLayer& part) {
  return {part.on(problem.layer.gate.device()), problem.embed, problem.directions};
}

/// The problem with `count` hidden units of its layer alone.
EigenProblem with_units(const EigenProblem& problem, int64_t first, int64_t count) {
  BilinearLayer units;
  units.gate = problem.layer.gate.narrow(0, first, count);
  units.up = problem.layer.up.narrow(0, first, count);
  units.down = problem.layer.down.narrow(1, first, count);
  return {units, problem.embed, problem.directions};
}

/// ‖·_u‖_F of the parts of a problem's layer, [parts, n] on the CPU.
at::Tensor part_sizes(const EigenProblem& problem, int64_t memory_limit) {
  std::vector<at::Tensor> all;
  for (const auto& part : problem.layer.parts) all.push_back(sizes(with_part(problem, part), memory_limit));
  return at::stack(all);
}

/// ‖·_u‖_F of the terms that the layer is written as, [1 + terms, n] on the CPU; the first row is zeros.
at::Tensor term_sizes(const EigenProblem& problem, int64_t memory_limit) {
  std::vector<at::Tensor> all = {at::zeros({problem.count()}, at::kDouble)};
  int64_t first = 0;
  for (const int64_t count : problem.layer.terms) {
    all.push_back(sizes(with_units(problem, first, count), memory_limit));
    first += count;
  }
  return at::stack(all);
}

}  // namespace

at::Tensor rounding_floors(const EigenProblem& problem, int64_t memory_limit) {
  if (problem.layer.parts.empty()) return {};
  return kTieFactor * kDoubleEps * part_sizes(problem, memory_limit).sum(0);
}

double gram_floor(const EigenProblem& problem, int64_t memory_limit) {
  if (problem.layer.parts.empty()) return 0;
  const auto sum = [](const at::Tensor& sizes) { return sizes.norm(2, {1}).sum().item<double>(); };
  return std::max(std::sqrt(kDoubleEps) * sum(term_sizes(problem, memory_limit)),
                  kTieFactor * kDoubleEps * sum(part_sizes(problem, memory_limit)));
}

void apply_floor(EigenPairs& pairs) {
  const auto rows = pairs.unchanged_directions();
  for (auto* zero : {&pairs.eigenvalues, &pairs.residuals, &pairs.trace, &pairs.frobenius,
                     &pairs.effective_rank, &pairs.effective_rank_error, &pairs.converged, &pairs.cluster}) {
    if (zero->defined()) zero->index_fill_(0, rows, 0);
  }
  pairs.vector_error.index_fill_(0, rows, 1);
  if (pairs.k() < pairs.eigenvectors.size(2)) pairs.tie_at_k.index_fill_(0, rows, 1);
  if (pairs.weight_energy.defined())
    pairs.weight_energy.index_fill_(0, rows, std::numeric_limits<double>::quiet_NaN());
  if (pairs.certified_bound.defined()) pairs.certified_bound += pairs.floor;
}

}  // namespace bilens
