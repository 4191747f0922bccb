#include "bilens/analysis/factors/weighted.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cinttypes>
#include <limits>

#include "bilens/analysis/forms/interaction.h"
#include "bilens/analysis/forms/traceless.h"
#include "bilens/core/text.h"
#include "factors/factor_words.h"
#include "forms/normalization.h"

namespace bilens {

namespace {

/// A problem in float64 on the CPU, where inputs are few beside weights.
EigenProblem in_double(const EigenProblem& problem) {
  const auto wide = [](const at::Tensor& x) { return x.defined() ? x.to(at::kCPU, at::kDouble) : x; };
  return {problem.layer.to(at::kDouble, at::kCPU), wide(problem.embed), wide(problem.directions)};
}

/// What is solved: the layer of Q + cI behind the map A.
EigenProblem weighted_problem(const EigenProblem& problem, const InputWeighting& inputs) {
  const auto& root = inputs.root.root;
  if (problem.embed.defined()) return {problem.layer, problem.embed.mm(root), problem.directions};
  if (!inputs.fixed_length) return {problem.layer, root, problem.directions};
  const auto shifts = least_variance_shifts(problem.layer, {}, inputs.moments);
  return {without_length(problem.layer, -shifts), root, problem.directions};
}

/// Q over the inputs of each unit's weights, sums over units: tr(QΣ) + μᵀQμ of each direction.
at::Tensor quadratic_mean(const EigenProblem& problem, const at::Tensor& scales,
                          const InputMoments& moments) {
  const auto layer = problem.embed.defined() ? fold_input(problem.layer, problem.embed) : problem.layer;
  const auto second = moments.covariance + at::outer(moments.mean, moments.mean);
  return scales.mv((layer.gate.mm(second) * layer.up).sum(1));
}

/// Centre and slope of each direction's form over the inputs, c given.
void expand_form(const EigenProblem& problem, const InputMoments& moments, WeightedFactors& found) {
  const InteractionOperator q(problem.layer, problem.directions, problem.embed);
  const auto& mean = moments.mean;
  const auto at_mean = q.apply(mean.view({1, 1, -1}).expand({q.count(), 1, -1})).squeeze(1);
  found.slope = 2 * (at_mean + found.shift.unsqueeze(1) * mean);
  found.centre = quadratic_mean(problem, q.scales(), moments);
  if (!problem.layer.has_linear()) return;
  const auto linear = q.linear();
  found.slope = found.slope + linear;
  found.centre = found.centre + linear.mv(mean) + q.constant();
}

/// Rows z of the space of A as vectors of the inputs: [n, k, r] → [n, k, d].
at::Tensor mapped_back(const at::Tensor& rows, const at::Tensor& map) {
  return rows.to(at::kDouble).matmul(map.t());
}

void take_pairs(const EigenPairs& pairs, const CovarianceRoot& root, WeightedFactors& found) {
  const auto patterns = mapped_back(pairs.eigenvectors, root.root), oriented = orient(patterns);
  const auto sign = (patterns * oriented).sum(2, true).sign();
  const auto type = pairs.eigenvectors.scalar_type();
  found.patterns = oriented.to(type);
  found.readings = (mapped_back(pairs.eigenvectors, root.inverse) * sign).to(type);
  found.values = pairs.eigenvalues;
  found.residuals = pairs.residuals, found.vector_error = pairs.vector_error;
  found.effective_rank = pairs.effective_rank;
  found.certified_bound = pairs.certified_bound, found.floor = pairs.floor;
  found.solver = pairs.solver;
  found.worst_residual = pairs.residuals.max().item<double>();
  found.converged = pairs.converged.sum().item<int64_t>();
  if (pairs.certified_bound.defined()) found.certified = pairs.count_certified();
  if (pairs.floor.defined()) found.unchanged = pairs.unchanged_directions().numel();
}

/// What each part varies by under a Gaussian.
void take_variances(const EigenPairs& pairs, const CovarianceRoot& root, WeightedFactors& found) {
  const auto squared_norm = pairs.frobenius.square();
  found.quadratic_variance = 2 * squared_norm;
  found.linear_variance = found.slope.mm(root.root).square().sum(1);
  found.shares = pairs.eigenvalues.square() / squared_norm.unsqueeze(1);
  found.shares.index_fill_(0, pairs.unchanged_directions(), std::numeric_limits<double>::quiet_NaN());
  found.mean_linear_share =
      mean_of_numbers(found.linear_variance / (found.linear_variance + found.quadratic_variance));
}

}  // namespace

at::Tensor least_variance_shifts(const BilinearLayer& layer, const at::Tensor& directions,
                                 const InputMoments& moments) {
  const InteractionOperator q(layer, directions);
  const auto& mean = moments.mean;
  const auto& sigma = moments.covariance;
  const auto along = sigma.mv(mean);
  const auto units = (layer.gate.mm(sigma.mm(sigma)) * layer.up).sum(1) +
                     layer.gate.mv(mean) * layer.up.mv(along) + layer.gate.mv(along) * layer.up.mv(mean);
  auto sums = q.scales().mv(units);
  if (layer.has_linear()) sums = sums + q.linear().mv(along);
  return -sums / (sigma.square().sum() + 2 * mean.dot(along));
}

WeightedFactors weigh_spectra(const EigenProblem& given, const InputWeighting& inputs, at::Device device,
                              const EigenConfig& eigen) {
  const auto problem = in_double(given);
  auto config = eigen;
  config.k = std::min(eigen.k, inputs.root.rank());
  config.energy = Energy::kExact;
  const auto pairs = solve_eigen(weighted_problem(problem, inputs), device, config);
  WeightedFactors found;
  found.weights.inputs = inputs.moments.count;
  found.dimensions = inputs.root.rank();
  found.cut = inputs.root.cut;
  found.fixed_length = inputs.fixed_length;
  found.mean = inputs.moments.mean;
  found.shift = inputs.fixed_length ? least_variance_shifts(problem.layer, problem.directions, inputs.moments)
                                    : at::zeros({pairs.size()}, at::kDouble);
  expand_form(problem, inputs.moments, found);
  take_pairs(pairs, inputs.root, found);
  take_variances(pairs, inputs.root, found);
  return found;
}

std::string weighted_in_words(const WeightedFactors& found) {
  const auto n = found.values.size(0);
  std::string words = format("top %" PRId64 " over %" PRId64 " dimensions in which %" PRId64
                             " inputs vary (%.1e of the "
                             "variance is cut), %" PRId64 " converged, worst residual %.1e",
                             found.values.size(1), found.dimensions, found.weights.inputs, found.cut,
                             found.converged, found.worst_residual);
  if (found.certified) words += format(", %" PRId64 " certified", *found.certified);
  if (found.unchanged.value_or(0) > 0)
    words += format(", nothing but rounding in %" PRId64 " of %" PRId64, *found.unchanged, n);
  words += "; under a Gaussian " + in_percent(found.mean_linear_share) + " of the variance is linear";
  if (!found.measured) return words;
  const auto number = [](const std::optional<double>& r2) { return r2 ? format("%.3f", *r2) : "undefined"; };
  return words + format("; R² on %" PRId64 " inputs (", found.measured->inputs) + found.measured->part +
         ") " + number(found.mean_linear_r2) + " of the linear part, " + number(found.mean_r2) +
         " with these terms";
}

}  // namespace bilens
