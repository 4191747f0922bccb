#include "bilens/analysis/factors/method.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/analysis/forms/gram.h"
#include "bilens/core/error.h"
#include "bilens/core/stopwatch.h"
#include "bilens/core/text.h"
#include "bilens/tensor/product_rate.h"

namespace bilens {

namespace {

// --- hosvd ---

Factors find_hosvd(const EigenProblem& problem, const EigenPairs&, at::Device device,
                   const EigenConfig& eigen, const MethodOptions& options) {
  HosvdConfig config = options.hosvd;
  config.count = eigen.k;
  config.memory_limit = eigen.memory_limit;
  const auto there = problem.on(device);
  return to_factors(output_hosvd(there, config), input_hosvd(there, config), eigen.dtype);
}

MethodCost hosvd_cost(const EigenProblem&, const EigenSizes& sizes, at::Device device,
                      const EigenConfig& eigen, const MethodOptions&) {
  const auto n = static_cast<double>(sizes.n), h = static_cast<double>(sizes.h),
             d = static_cast<double>(sizes.d);
  const double operations = 12 * h * h * d + 2 * n * h * h + 2 * n * n * h + 4 * h * d * d;
  return {std::min(eigen.memory_limit, kTileMemory) + 16 * sizes.n * sizes.n + 24 * sizes.d * sizes.d,
          operations / measure_product_rate(device, at::kDouble),
          format("%.3g TFLOP in float64", 1e-12 * operations)};
}

// --- sparse_eigen ---

/// W, V and P of all directions in float64.
int64_t wide_bytes(const EigenSizes& sizes) { return 8 * (2 * sizes.h * sizes.d + sizes.n * sizes.h); }
int64_t matrix_bytes(const EigenSizes& sizes) { return 8 * sizes.d * sizes.d; }

constexpr const char* kByConvergence = "its time depends on how it converges";

Factors find_sparse(const EigenProblem& problem, const EigenPairs&, at::Device device,
                    const EigenConfig& eigen, const MethodOptions& options) {
  SparseEigenConfig config = options.sparse_eigen;
  config.k = eigen.k;
  config.dtype = eigen.dtype;
  config.memory_limit = eigen.memory_limit;
  return to_factors(solve_sparse_eigen(problem, device, config), eigen.dtype);
}

MethodCost sparse_cost(const EigenProblem&, const EigenSizes& sizes, at::Device, const EigenConfig& eigen,
                       const MethodOptions&) {
  return {std::min(eigen.memory_limit, wide_bytes(sizes) + 3 * sizes.n * matrix_bytes(sizes)), std::nullopt,
          kByConvergence};
}

// --- rotate ---

Factors find_rotation(const EigenProblem&, const EigenPairs& pairs, at::Device device,
                      const EigenConfig& eigen, const MethodOptions& options) {
  return to_factors(rotate_eigenspaces(pairs, device, options.rotate), eigen.dtype);
}

// --- joint ---

Factors find_joint(const EigenProblem& problem, const EigenPairs&, at::Device device,
                   const EigenConfig& eigen, const MethodOptions& options) {
  JointConfig config = options.joint;
  config.k = eigen.k;
  return to_factors(diagonalize_jointly(problem, device, config), eigen.dtype);
}

MethodCost joint_cost(const EigenProblem&, const EigenSizes& sizes, at::Device, const EigenConfig&,
                      const MethodOptions&) {
  return {2 * wide_bytes(sizes) + 4 * matrix_bytes(sizes), std::nullopt, kByConvergence};
}

BilinearLayer joint_layer(const Factors& factors) {
  const auto& found = std::get<JointFactors>(factors.found);
  BilinearLayer layer;
  layer.gate = layer.up = found.vectors.to(at::kDouble);
  layer.down = found.values;
  return layer;
}

// --- cp ---

Factors find_cp(const EigenProblem& problem, const EigenPairs&, at::Device device, const EigenConfig& eigen,
                const MethodOptions& options) {
  CpConfig config = options.cp;
  config.dtype = eigen.dtype;
  return to_factors(decompose_cp(problem, device, config), eigen.dtype);
}

double seconds_of(const EigenProblem& problem, at::Device device, const CpConfig& config) {
  const Stopwatch watch;
  decompose_cp(problem, device, config);
  return watch.seconds();
}

/// At most: of all iterations, each as long as those over the whole layer, of which some are made.
double measure_cp(const EigenProblem& problem, at::Device device, const CpConfig& config) {
  constexpr double kShort = 0.2;  // seconds below which one measurement says little
  auto few = config;
  few.starts = 1;
  const auto least_seconds = [&](int64_t iterations) {
    few.max_iterations = iterations;
    double least = seconds_of(problem, device, few);
    for (int again = 0; again < 2 && least < kShort; ++again)
      least = std::min(least, seconds_of(problem, device, few));
    return least;
  };
  const double start = least_seconds(1);
  const int64_t some = start < kShort ? 32 : 4;
  const double least = 1e-2 * start;  // of what the iterations take together; below that is noise
  const double iteration =
      std::max(least, least_seconds(1 + some) - start) / static_cast<double>(2 * some);  // of two fits
  const auto fits = static_cast<double>(config.starts + 1);
  return start * fits / 2 + iteration * fits * static_cast<double>(config.max_iterations);
}

MethodCost cp_cost(const EigenProblem& problem, const EigenSizes& sizes, at::Device device,
                   const EigenConfig& eigen, const MethodOptions& options) {
  auto cost = joint_cost(problem, sizes, device, eigen, options);
  cost.seconds = measure_cp(problem, device, options.cp);
  cost.words += format(", at most %.3g s", *cost.seconds);
  return cost;
}

BilinearLayer cp_layer(const Factors& factors) {
  const auto& found = std::get<CpFactors>(factors.found);
  BilinearLayer layer;
  layer.gate = found.left.to(at::kDouble);
  layer.up = found.right.to(at::kDouble);
  layer.down = found.outputs;
  return layer;
}

}  // namespace

const FieldTable<MethodOptions>& MethodOptions::fields() {
  using C = MethodOptions;
  static const FieldTable<C> table =
      FieldTable<C>("Settings of the methods.")
          .nested("hosvd", &C::hosvd, HosvdConfig::fields())
          .nested("sparse_eigen", &C::sparse_eigen, SparseEigenConfig::fields())
          .nested("rotate", &C::rotate, RotationConfig::fields())
          .nested("joint", &C::joint, JointConfig::fields())
          .nested("cp", &C::cp, CpConfig::fields());
  return table;
}

const std::vector<Method>& methods() {
  static const std::vector<Method> table = {
      {.name = "eigen",
       .meaning = "eigenvectors of each direction's interaction matrix",
       .finds_pairs = true},
      {.name = "hosvd",
       .meaning = "singular vectors of the whole tensor",
       .run = find_hosvd,
       .cost = hosvd_cost},
      {.name = "sparse_eigen", .meaning = "vectors of few entries", .run = find_sparse, .cost = sparse_cost},
      {.name = "rotate",
       .meaning = "a sparse basis of each eigenspace",
       .finds_pairs = true,
       .run = find_rotation},
      {.name = "joint",
       .meaning = "one orthogonal basis for all directions",
       .run = find_joint,
       .cost = joint_cost,
       .unused = {"memory_limit"},
       .stands_for = joint_layer},
      {.name = "cp",
       .meaning = "terms shared by all directions",
       .run = find_cp,
       .cost = cp_cost,
       .unused = {"k", "memory_limit"},
       .stands_for = cp_layer},
  };
  return table;
}

const Method& method_named(const std::string& name) {
  for (const auto& method : methods())
    if (method.name == name) return method;
  throw std::logic_error("no method " + name);
}

std::optional<BilinearLayer> approximate_layer(const Factors& factors) {
  for (const auto& method : methods())
    if (method.name == factors.method() && method.stands_for) return method.stands_for(factors);
  return std::nullopt;
}

}  // namespace bilens
