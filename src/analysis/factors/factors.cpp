#include "bilens/analysis/factors/factors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>

#include "bilens/core/error.h"
#include "bilens/core/text.h"

namespace bilens {

namespace {

HosvdMode to_mode(const Hosvd& hosvd, at::ScalarType dtype) {
  HosvdMode mode;
  mode.kept = hosvd.vectors.size(0);
  mode.resolved = hosvd.resolved;
  mode.energy_kept = hosvd.energy[-1].item<double>();
  mode.discarded = hosvd.discarded;
  mode.floor = hosvd.floor;
  mode.vectors = hosvd.vectors.to(at::kCPU, dtype);
  mode.singular_values = hosvd.singular_values.cpu();
  mode.energy = hosvd.energy.cpu();
  return mode;
}

/// Shares of energy where they were asked for.
template <class F>
void take_energy(F& factors, const ProjectionEnergy& energy) {
  if (energy.total.defined()) {
    factors.diagonal_energy = energy.diagonal;
    factors.full_energy = energy.full;
  }
  factors.off_diagonal = energy.off_diagonal;
}

std::string percent(double share) { return format("%.1f%%", 100 * share); }

/// Over what is a number.
double mean_of(const at::Tensor& tensor) { return tensor.to(at::kDouble).nanmean().item<double>(); }

std::string status(bool converged) { return converged ? "converged" : "not converged"; }

/// Of a difference.
std::string nothing_above(double floor) {
  return std::string(kNoChange) + format(" (nothing above %.1e)", floor);
}

/// Says of a method that looks at each direction by itself how many of n did not change.
template <class F>
void name_unchanged(F& found, std::string& words, int64_t unchanged, const at::Tensor& floor) {
  if (!floor.defined()) return;
  found.unchanged = unchanged;
  if (unchanged == 0) return;
  const int64_t n = floor.size(0);
  words = unchanged == n ? nothing_above(floor.max().item<double>())
                         : words + "; " + kNoChange + " in " + std::to_string(unchanged) + " of " +
                               std::to_string(n) + " directions";
}

/// Says of one that looks at all directions at once whether anything changed.
template <class F>
void name_unchanged(F& found, std::string& words, bool unchanged, double floor) {
  if (floor == 0 && !unchanged) return;
  found.unchanged = unchanged;
  found.floor = floor;
  if (unchanged) words = nothing_above(floor);
}

/// Of all steps of a path, one after the other.
at::Tensor stack_path(const std::vector<SparseEigenPairs>& path,
                      const std::function<at::Tensor(const SparseEigenPairs&)>& of) {
  std::vector<at::Tensor> steps;
  for (const auto& pairs : path) steps.push_back(of(pairs));
  return steps.front().defined() ? at::stack(steps) : at::Tensor();
}

}  // namespace

Factors to_factors(const Hosvd& output, const Hosvd& input, at::ScalarType dtype) {
  HosvdFactors found;
  found.squared_norm = output.squared_norm;
  found.output = to_mode(output, dtype);
  found.input = to_mode(input, dtype);
  const auto in_words = [](const char* name, const HosvdMode& mode) {
    const int64_t noise = mode.kept - mode.resolved;
    return std::to_string(mode.kept) + " " + name + " factors" +
           (noise > 0 ? " (" + std::to_string(noise) + " of them rounding)" : "") + ", " +
           percent(mode.energy_kept) + " of the energy";
  };
  std::string words = in_words("output", found.output) + "; " + in_words("input", found.input);
  const bool unchanged = output.energy.isnan().any().item<bool>() && input.energy.isnan().any().item<bool>();
  if (unchanged) name_unchanged(found, words, true, std::max(output.floor, input.floor));
  return {found, words, 0};
}

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
             percent(mean_of(pairs.energy.diagonal.select(1, -1))) + " of the energy";
  }
  found.share_converged = mean_of(found.converged);
  name_unchanged(found, words, path.back().unchanged, path.back().floor);
  found.floor = path.back().floor;
  return {found, words, 0};
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
  found.share_converged = mean_of(basis.converged);
  found.mean_objective = mean_of(basis.objective);
  found.mean_start_objective = mean_of(basis.start_objective);
  found.mean_off_diagonal = mean_of(basis.energy.off_diagonal);
  std::string words = "rotated to a fourth moment of " + format("%.3g", found.mean_objective) + " from " +
                      format("%.3g", found.mean_start_objective) + ", " + percent(found.mean_off_diagonal) +
                      " of the core off its diagonal";
  name_unchanged(found, words, basis.unchanged, basis.floor);
  return {found, words, 0};
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
                      percent(found.diagonal_energy_kept) + " of the energy without cross terms, " +
                      percent(basis.full_energy) + " with them, " + status(basis.converged);
  name_unchanged(found, words, basis.unchanged, basis.floor);
  return {found, words, 0};
}

Factors to_factors(const CpDecomposition& cp, at::ScalarType dtype) {
  CpFactors found;
  found.objective = cp.objective;
  found.squared_norm = cp.total;
  found.energy = cp.energy;
  found.full_energy = cp.full_energy;
  found.off_diagonal = cp.off_diagonal;
  found.condition = cp.condition;
  found.cancellation = cp.cancellation;
  found.gradient = cp.gradient;
  found.status = status_name(cp.status);
  found.converged = cp.converged();
  found.refit_residual = cp.refit_residual;
  found.left = cp.left.to(dtype);
  found.right = cp.right.to(dtype);
  found.outputs = cp.outputs;
  found.diagonal_energy = cp.diagonal_energy;
  found.history = cp.history;
  found.start_errors = cp.start_errors;
  found.left_measure = cp.left_measure;
  found.right_measure = cp.right_measure;
  found.output_measure = cp.output_measure;
  std::string words = std::to_string(cp.left.size(0)) + " terms of condition " +
                      format("%.1e", cp.condition) + ", " + percent(cp.energy) + " of the energy, " +
                      found.status;
  name_unchanged(found, words, cp.unchanged, cp.floor);
  return {found, words, 0};
}

}  // namespace bilens
