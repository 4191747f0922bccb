#include "bilens/analysis/eigen/eigen_plan.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "bilens/analysis/eigen/certificate.h"
#include "bilens/analysis/eigen/lanczos.h"
#include "bilens/core/log.h"
#include "bilens/core/progress.h"
#include "bilens/core/text.h"
#include "solver_limits.h"

namespace bilens {

namespace {

/// How many operations of a product fit into the time that a byte takes from memory (a CPU core: 100 GFLOP/s,
/// 12 GB/s).
constexpr double kOperationsPerByte = 8;

constexpr int64_t kWideChunk =
    64;  // directions that a product has to share to be worth arranging weights for

/// In how many parts the directions are solved side by side, each on a thread of its own. Weights that stay
/// in a core's cache need not be shared by all threads in every step, and no thread then waits for another
/// (measured, 64 directions on 2 cores: 1.5 times as fast at 256 × 1024, 1.0 at 512 × 2048).
int64_t parts_of(const EigenSizes& sizes, int64_t stack_bytes, at::Device device) {
  const int64_t threads = at::get_num_threads();
  const bool apart = device.is_cpu() && stack_bytes <= kCachedBytes && sizes.n >= kNarrowestPart * threads;
  return apart ? threads : 1;
}

/// What a step of Lanczos costs beside its products, for all directions that take it together: some 20 calls
/// of LibTorch (measured: 0.1 ms on a CPU core; a GPU starts as many kernels, beside faster products).
double step_operations(at::Device device) { return device.is_cuda() ? 1e9 : 1e7; }

/// A symmetric eigensolver's cost in operations of a product that take as long: LAPACK's divide and conquer
/// is bound by memory and small blocks up to r of some thousands (measured: 6.7 ms at 256, 0.32 s at 2048, 2
/// cores); a GPU's is further behind its products still.
double eigh_operations(double r, at::Device device) {
  const double on_cpu = 13e3 * r * r + 2 * r * r * r;
  return device.is_cuda() ? 100 * on_cpu : on_cpu;
}

/// Columns that Lanczos needs for the k outermost of a flat spectrum of r, the hard case: gaps at the edge of
/// the semicircle law are r^(-2/3)k^(-1/3) of its width, and convergence goes with the root of the gap.
/// Measured for the top 10: 75 at r = 256, 165 at 2048.
double lanczos_columns(double r, double k) { return std::min(r, 10 + 6 * std::cbrt(r * (k + kGuards))); }

std::string tera(double operations) { return format("%.3g", operations * 1e-12); }

/// Bytes of a number in the weights that a solver holds: but for Lanczos they are float64.
int64_t weight_width(EigenSolver solver, const EigenConfig& config) {
  return static_cast<int64_t>(c10::elementSize(solver == EigenSolver::kLanczos ? config.dtype : at::kDouble));
}

class Costs {
 public:
  Costs(const EigenSizes& s, at::Device device, const EigenConfig& config, int64_t basis)
      : s_(s), device_(device), width_(c10::elementSize(config.dtype)), config_(config), basis_(basis) {}

  SolverCost of(EigenSolver solver) const {
    const auto h = static_cast<double>(s_.h), r = static_cast<double>(s_.reduced);
    const double wide = 8.0 / static_cast<double>(width_);  // float64 in products of the run's dtype
    const double form = wide * 2 * h * r * r,
                 columns = lanczos_columns(r, static_cast<double>(s_.k)) + probe_columns();
    const double orthogonalize = columns * columns * 2 * r * static_cast<double>(width_) * kOperationsPerByte;
    const double steps =
        columns * step_operations(device_) / static_cast<double>(std::clamp<int64_t>(s_.n, 1, kLargestChunk));
    const double check = 2 * 8 * static_cast<double>(s_.h * s_.d * s_.k);  // float64
    const bool iterates = 3 * (s_.k + kGuards) <= s_.reduced;
    switch (solver) {
      case EigenSolver::kDense:
        return {solver, form + wide * eigh_operations(r, device_) + check, form_bytes() + check_bytes(),
                true};
      case EigenSolver::kLowRank: {
        const auto q = static_cast<double>(2 * s_.nonzero);
        const int64_t vectors = s_.k > 2 * s_.nonzero ? s_.reduced : 2 * s_.nonzero;
        return {solver, wide * (4 * q * q * r + eigh_operations(q, device_)) + check,
                8 * (3 * vectors * s_.reduced + 4 * vectors * vectors) + check_bytes(),
                2 * s_.nonzero < s_.reduced};
      }
      case EigenSolver::kLanczos: {
        const double read =
            4 * h * r * static_cast<double>(width_) * kOperationsPerByte / static_cast<double>(s_.n);
        return {solver, columns * (8 * h * r + read) + orthogonalize + steps + check,
                lanczos_bytes() + check_bytes(), iterates};
      }
      default: {
        const double read = r * r * static_cast<double>(width_) * kOperationsPerByte;
        return {solver, form + columns * (2 * r * r + read) + orthogonalize + steps + check,
                form_bytes() + lanczos_bytes() + check_bytes(), iterates};
      }
    }
  }

 private:
  double probe_columns() const {
    if (!config_.probe) return 0.0;
    return static_cast<double>(columns_to_see(s_.reduced, kProbedExcess, kProbeMisses));
  }

  /// s ⊙ V, Wᵀ(s ⊙ V), Q; a dense solver's vectors and its workspace of two matrices.
  int64_t form_bytes() const { return 8 * (s_.h * s_.reduced + 7 * s_.reduced * s_.reduced); }

  /// The basis, with the deflated vectors of the probe; an image under [W; V], twice.
  int64_t lanczos_bytes() const {
    return width_ * ((basis_ + s_.k + 2) * s_.reduced + 6 * s_.h) + 8 * 3 * basis_ * basis_;
  }

  /// In float64: the k vectors, their images, their mixes; images under a tile of [W; V].
  int64_t check_bytes() const {
    const int64_t tile = std::min(s_.h, kTileBytes / (16 * s_.d) + 1);
    return s_.k * 8 * (6 * s_.d + 4 * tile);
  }

  const EigenSizes& s_;
  at::Device device_;
  int64_t width_;
  const EigenConfig& config_;
  int64_t basis_;
};

}  // namespace

EigenSizes eigen_sizes(const EigenProblem& problem, int64_t k) {
  const auto& layer = problem.layer;
  EigenSizes sizes;
  sizes.n = problem.count();
  sizes.h = layer.d_hidden();
  sizes.d = problem.dimension();
  sizes.reduced = std::min({sizes.d, layer.d_in(), 2 * sizes.h});
  sizes.k = std::min(k, sizes.d);
  sizes.nonzero = sizes.h;
  if (!layer.down.defined()) {
    sizes.nonzero = problem.directions.defined() ? problem.directions.ne(0).sum(1).max().item<int64_t>() : 1;
  } else if (!problem.directions.defined()) {
    sizes.nonzero = layer.down.ne(0).sum(1).max().item<int64_t>();
  }
  return sizes;
}

EigenPlan plan_eigen(const EigenSizes& sizes, at::Device device, const EigenConfig& config) {
  EigenPlan plan;
  plan.basis = std::min(sizes.reduced, std::max<int64_t>(kSmallestBasis, 3 * (sizes.k + kGuards)));
  const auto weights = [&](EigenSolver solver) {
    return 2 * sizes.h * sizes.reduced * weight_width(solver, config);
  };
  const int64_t proofs = config.certify ? certifier_bytes(sizes.h, sizes.d) : 0;
  const auto fixed = [&](EigenSolver solver) { return weights(solver) + 4 * kTileBytes + proofs; };
  const auto free = [&](EigenSolver solver) {
    return std::max<int64_t>(config.memory_limit - fixed(solver), 0);
  };
  const Costs costs(sizes, device, config, plan.basis);
  for (const auto solver :
       {EigenSolver::kDense, EigenSolver::kLowRank, EigenSolver::kLanczos, EigenSolver::kFormed}) {
    plan.costs.push_back(costs.of(solver));
  }
  std::stable_sort(plan.costs.begin(), plan.costs.end(),
                   [](const auto& a, const auto& b) { return a.operations < b.operations; });
  const auto fits = [&](const SolverCost& cost) { return cost.possible && cost.bytes <= free(cost.solver); };
  auto chosen = std::find_if(plan.costs.begin(), plan.costs.end(), fits);
  if (chosen == plan.costs.end()) {
    chosen =
        std::find_if(plan.costs.begin(), plan.costs.end(), [](const auto& cost) { return cost.possible; });
  }
  if (config.solver != EigenSolver::kAuto) {
    chosen = std::find_if(plan.costs.begin(), plan.costs.end(),
                          [&](const auto& cost) { return cost.solver == config.solver; });
    if (!chosen->possible) {
      log_info(solver_name(config.solver) + " cannot find " + std::to_string(sizes.k) +
               " eigenpairs in dimension " + std::to_string(sizes.reduced) +
               (config.solver == EigenSolver::kLowRank ? " with as many hidden units"
                                                       : " (at most a third of it)") +
               ": solved densely");
      chosen = std::find_if(plan.costs.begin(), plan.costs.end(),
                            [](const auto& cost) { return cost.solver == EigenSolver::kDense; });
    }
  }
  plan.solver = chosen->solver;
  const int64_t each = std::max<int64_t>(chosen->bytes, 1);
  const int64_t parts = parts_of(sizes, weights(EigenSolver::kLanczos), device);
  const int64_t other_proofs = (parts - 1) * proofs;
  const bool apart = plan.solver == EigenSolver::kLanczos &&
                     free(plan.solver) - other_proofs >= each * kNarrowestPart * parts;
  plan.parts = apart ? parts : 1;
  const int64_t most = std::min(sizes.n, kLargestChunk * plan.parts);
  // Arranging [W; V] for narrow products (PackedMatrix) makes two copies before the first can go.
  const int64_t own = weights(plan.solver), left = free(plan.solver) - (apart ? other_proofs : 0);
  plan.packed = plan.solver == EigenSolver::kLanczos && left - 2 * own >= each * std::min(most, kWideChunk);
  const int64_t packing = plan.packed ? 2 * own : 0;
  plan.chunk = std::clamp<int64_t>((left - packing) / each, 1, most);
  const bool forms = plan.solver == EigenSolver::kDense || plan.solver == EigenSolver::kFormed;
  plan.energy = config.energy == Energy::kExact ||
                (config.energy == Energy::kAuto &&
                 (forms || plan.solver == EigenSolver::kLowRank || 8 * sizes.n >= sizes.h));
  plan.bytes = fixed(plan.solver) + (apart ? other_proofs : 0) + packing + plan.chunk * chosen->bytes;
  const auto h = static_cast<double>(sizes.h), d = static_cast<double>(sizes.d),
             n = static_cast<double>(sizes.n);
  plan.energy_operations = plan.energy && plan.solver == EigenSolver::kLanczos ? 4 * h * h * d : 0;
  plan.operations = n * chosen->operations + plan.energy_operations;
  if (config.certify) plan.operations += n * 2 * (2 * h * d * d + 2 * d * d * d / 3);
  return plan;
}

std::string EigenPlan::describe() const {
  std::string others;
  for (const auto& cost : costs) {
    if (cost.solver == solver || !cost.possible) continue;
    others += (others.empty() ? " (" : ", ") + solver_name(cost.solver) + " " + tera(cost.operations);
  }
  const auto own =
      std::find_if(costs.begin(), costs.end(), [&](const auto& cost) { return cost.solver == solver; });
  return std::string(solver_name(solver)) + ": " + tera(own->operations) + " TFLOP a direction" +
         (others.empty() ? "" : others + ")") + ", " + std::to_string(chunk) + " at a time, " +
         format_bytes(static_cast<double>(bytes)) + " beside the weights";
}

}  // namespace bilens
