#include "bilens/analysis/factors/factors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "bilens/core/error.h"
#include "bilens/core/text.h"

namespace bilens {

namespace {

/// Null for a share of nothing.
Json number(double value) { return std::isnan(value) ? Json() : Json(value); }

/// "hosvd_output_" + vectors, singular_values, energy.
void add_mode(Factors& factors, const std::string& mode, const Hosvd& hosvd, at::ScalarType dtype) {
  const std::string prefix = "hosvd_" + mode + "_";
  factors.tensors.emplace_back(prefix + "vectors", hosvd.vectors.to(at::kCPU, dtype));
  factors.tensors.emplace_back(prefix + "singular_values", hosvd.singular_values.cpu());
  factors.tensors.emplace_back(prefix + "energy", hosvd.energy.cpu());
  factors.figures[mode] = {{"kept", hosvd.vectors.size(0)},
                           {"resolved", hosvd.resolved},
                           {"energy", number(hosvd.energy[-1].item<double>())},
                           {"discarded", hosvd.discarded},
                           {"floor", hosvd.floor}};
}

void add_sparsity(Factors& factors, const std::string& prefix, const Sparsity& measure) {
  factors.tensors.emplace_back(prefix + "nonzeros", measure.nonzeros);
  factors.tensors.emplace_back(prefix + "participation", measure.participation);
  factors.tensors.emplace_back(prefix + "hoyer", measure.hoyer);
}

void add_energy(Factors& factors, const std::string& prefix, const ProjectionEnergy& energy) {
  if (energy.total.defined()) {
    factors.tensors.emplace_back(prefix + "diagonal_energy", energy.diagonal);
    factors.tensors.emplace_back(prefix + "full_energy", energy.full);
  }
  factors.tensors.emplace_back(prefix + "off_diagonal", energy.off_diagonal);
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
void add_unchanged(Factors& factors, int64_t unchanged, const at::Tensor& floor) {
  if (!floor.defined()) return;
  factors.figures["unchanged"] = unchanged;
  if (unchanged == 0) return;
  const int64_t n = floor.size(0);
  factors.words = unchanged == n ? nothing_above(floor.max().item<double>())
                                 : factors.words + "; " + kNoChange + " in " + std::to_string(unchanged) +
                                       " of " + std::to_string(n) + " directions";
}

/// Says of one that looks at all directions at once whether anything changed.
void add_unchanged(Factors& factors, bool unchanged, double floor) {
  if (floor == 0 && !unchanged) return;
  factors.figures["unchanged"] = unchanged;
  factors.figures["floor"] = floor;
  if (unchanged) factors.words = nothing_above(floor);
}

}  // namespace

const at::Tensor& Factors::at(const std::string& name) const {
  const auto found =
      std::find_if(tensors.begin(), tensors.end(), [&](const auto& item) { return item.first == name; });
  if (found == tensors.end())
    throw Error(ExitCode::kBadInput, {"the layer's file", "a tensor " + name, "none", ""});
  return found->second;
}

Factors to_factors(const Hosvd& output, const Hosvd& input, at::ScalarType dtype) {
  Factors factors{"hosvd", {}, {{"squared_norm", output.squared_norm}}, "", 0};
  add_mode(factors, "output", output, dtype);
  add_mode(factors, "input", input, dtype);
  const auto mode = [](const char* name, const Hosvd& hosvd) {
    const int64_t kept = hosvd.vectors.size(0), noise = kept - hosvd.resolved;
    return std::to_string(kept) + " " + name + " factors" +
           (noise > 0 ? " (" + std::to_string(noise) + " of them rounding)" : "") + ", " +
           percent(hosvd.energy[-1].item<double>()) + " of the energy";
  };
  factors.words = mode("output", output) + "; " + mode("input", input);
  const bool unchanged = output.energy.isnan().any().item<bool>() && input.energy.isnan().any().item<bool>();
  if (unchanged) add_unchanged(factors, true, std::max(output.floor, input.floor));
  return factors;
}

Factors to_factors(const std::vector<SparseEigenPairs>& path, at::ScalarType dtype) {
  Factors factors{"sparse_eigen", {}, {{"sparsity", Json::array()}}, "", 0};
  NamedTensors joined;
  for (const auto& pairs : path) {
    Factors one;
    one.tensors = {{"sparse_vectors", pairs.vectors.to(dtype)},
                   {"sparse_values", pairs.values},
                   {"sparse_objective", pairs.objective},
                   {"sparse_iterations", pairs.iterations},
                   {"sparse_converged", pairs.converged}};
    add_energy(one, "sparse_", pairs.energy);
    add_sparsity(one, "sparse_", pairs.measure);
    for (auto& [name, tensor] : one.tensors) {
      const auto same = std::find_if(joined.begin(), joined.end(),
                                     [&, n = name](const auto& item) { return item.first == n; });
      if (same == joined.end()) {
        joined.emplace_back(name, tensor.unsqueeze(0));
      } else {
        same->second = at::cat({same->second, tensor.unsqueeze(0)});
      }
    }
    factors.figures["sparsity"].push_back(pairs.sparsity);
    factors.words += (factors.words.empty() ? "" : "; ") + std::to_string(pairs.vectors.size(1)) +
                     " vectors of " + std::to_string(pairs.sparsity) + " entries, " +
                     percent(mean_of(pairs.energy.diagonal.select(1, -1))) + " of the energy";
  }
  factors.tensors = std::move(joined);
  factors.figures["converged"] = mean_of(factors.at("sparse_converged"));
  add_unchanged(factors, path.back().unchanged, path.back().floor);
  if (path.back().floor.defined()) factors.tensors.emplace_back("floor", path.back().floor);
  return factors;
}

Factors to_factors(const RotatedBasis& basis, at::ScalarType dtype) {
  Factors factors{"rotate",
                  {{"rotated_vectors", basis.vectors.to(dtype)},
                   {"rotated_rotation", basis.rotation},
                   {"rotated_values", basis.values},
                   {"rotated_objective", basis.objective},
                   {"rotated_start_objective", basis.start_objective},
                   {"rotated_iterations", basis.iterations},
                   {"rotated_converged", basis.converged},
                   {"rotated_agreeing", basis.agreeing}},
                  Json::object(),
                  "",
                  0};
  add_energy(factors, "rotated_", basis.energy);
  add_sparsity(factors, "rotated_", basis.measure);
  factors.figures = {{"converged", mean_of(basis.converged)},
                     {"mean_objective", mean_of(basis.objective)},
                     {"mean_start_objective", mean_of(basis.start_objective)},
                     {"mean_off_diagonal", number(mean_of(basis.energy.off_diagonal))}};
  factors.words = "rotated to a fourth moment of " + format("%.3g", mean_of(basis.objective)) + " from " +
                  format("%.3g", mean_of(basis.start_objective)) + ", " +
                  percent(mean_of(basis.energy.off_diagonal)) + " of the core off its diagonal";
  add_unchanged(factors, basis.unchanged, basis.floor);
  return factors;
}

Factors to_factors(const JointBasis& basis, at::ScalarType dtype) {
  Factors factors{"joint",
                  {{"joint_vectors", basis.vectors.to(dtype)},
                   {"joint_values", basis.values},
                   {"joint_diagonal_energy", basis.diagonal_energy},
                   {"joint_history", basis.history},
                   {"joint_start_objectives", basis.start_objectives}},
                  {{"objective", basis.objective},
                   {"squared_norm", basis.total},
                   {"diagonal_energy", number(basis.diagonal_energy[-1].item<double>())},
                   {"full_energy", number(basis.full_energy)},
                   {"off_diagonal", number(basis.off_diagonal)},
                   {"gradient", basis.gradient},
                   {"converged", basis.converged}},
                  "",
                  0};
  add_sparsity(factors, "joint_", basis.measure);
  factors.words = std::to_string(basis.vectors.size(0)) + " shared vectors, " +
                  percent(basis.diagonal_energy[-1].item<double>()) + " of the energy without cross terms, " +
                  percent(basis.full_energy) + " with them, " + status(basis.converged);
  add_unchanged(factors, basis.unchanged, basis.floor);
  return factors;
}

Factors to_factors(const CpDecomposition& cp, at::ScalarType dtype) {
  Factors factors{"cp",
                  {{"cp_left", cp.left.to(dtype)},
                   {"cp_right", cp.right.to(dtype)},
                   {"cp_outputs", cp.outputs},
                   {"cp_diagonal_energy", cp.diagonal_energy},
                   {"cp_history", cp.history},
                   {"cp_start_errors", cp.start_errors}},
                  {{"objective", cp.objective},
                   {"squared_norm", cp.total},
                   {"energy", number(cp.energy)},
                   {"full_energy", number(cp.full_energy)},
                   {"off_diagonal", number(cp.off_diagonal)},
                   {"condition", cp.condition},
                   {"cancellation", cp.cancellation},
                   {"gradient", cp.gradient},
                   {"status", status_name(cp.status)},
                   {"converged", cp.converged()}},
                  "",
                  0};
  add_sparsity(factors, "cp_left_", cp.left_measure);
  add_sparsity(factors, "cp_right_", cp.right_measure);
  add_sparsity(factors, "cp_outputs_", cp.output_measure);
  factors.words = std::to_string(cp.left.size(0)) + " terms of condition " + format("%.1e", cp.condition) +
                  ", " + percent(cp.energy) + " of the energy, " + status_name(cp.status);
  if (cp.refit_residual) factors.figures["refit_residual"] = *cp.refit_residual;
  add_unchanged(factors, cp.unchanged, cp.floor);
  return factors;
}

}  // namespace bilens
