#include "bilens/analysis/eigen/eigen.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "bilens/analysis/eigen/eigen_plan.h"
#include "bilens/analysis/forms/rounding_floor.h"
#include "bilens/core/error.h"
#include "bilens/core/log.h"
#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/tensor/on_threads.h"
#include "chunk_solver.h"

namespace bilens {

namespace {

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
        &EigenPairs::columns, &EigenPairs::cluster, &EigenPairs::tie_at_k, &EigenPairs::certified_bound,
        &EigenPairs::floor}) {
    if ((all.*field).defined()) all.*field = at::cat({all.*field, chunk.*field});
  }
  all.repaired += chunk.repaired;
  add_seconds(all.seconds, chunk.seconds);
}

/// One chunk in equal parts, each on a thread of its own.
EigenPairs solve_apart(const ChunkSolver& solver, int64_t parts, int64_t first, int64_t count,
                       const at::Tensor& floors) {
  if (parts == 1) return solver.solve(first, count, floors);
  std::vector<EigenPairs> found(parts);
  on_threads(parts, parts, [&](int64_t part) {
    const int64_t from = count * part / parts, own = count * (part + 1) / parts - from;
    found[part] = solver.solve(first + from, own, floors.defined() ? floors.narrow(0, from, own) : floors);
  });
  EigenPairs all;
  for (const auto& part : found) append(all, part);
  scale_seconds(all.seconds, 1.0 / static_cast<double>(parts));
  return all;
}

}  // namespace

EigenProblem EigenProblem::on(at::Device device) const {
  const auto moved = [&](const at::Tensor& tensor) { return tensor.defined() ? tensor.to(device) : tensor; };
  return {layer.on(device), moved(embed), moved(directions)};
}

double residual_tolerance(const EigenConfig& config) {
  return config.tolerance.value_or(config.dtype == at::kDouble ? 1e-10 : 5e-6);
}

void solve_eigen(const EigenProblem& problem, at::Device device, const EigenConfig& config, int64_t begin,
                 const EigenSink& sink) {
  const Stopwatch watch;
  check_layer(problem.layer, "layer");
  const auto plan = plan_eigen(eigen_sizes(problem, config.k), device, config);
  log_debug(plan.describe());
  const auto floors = rounding_floors(problem.on(device));
  ChunkSolver solver(problem, device, config, plan, watch);
  const int64_t n = solver.count();
  Progress progress("decompose", n, "directions", begin);
  for (int64_t first = begin; first < n;) {
    if (stop_requested()) throw Stopped{};
    const int64_t count = std::min(plan.chunk, n - first);
    const auto floor = floors.defined() ? floors.narrow(0, first, count) : floors;
    auto pairs = solve_apart(solver, std::min(plan.parts, count), first, count, floor);
    if (first == begin) add_seconds(pairs.seconds, solver.preparation());
    if (floor.defined()) {
      pairs.floor = floor;
      apply_floor(pairs);
    }
    sink(first, pairs);
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
