#include "bilens/analysis/eigen.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "bilens/analysis/interaction.h"
#include "bilens/core/log.h"
#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/tensor/device.h"
#include "bilens/tensor/random.h"

namespace bilens {

namespace {

constexpr double kTieFactor = 50.0;  // eigenvalues closer than this many eps‖Q‖ are not told apart

class Stopwatch {
 public:
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

/// The eigenproblem in the coordinates it is solved in: weights scaled to largest entry 1, input map reduced
/// by QR.
struct Reduced {
  BilinearLayer layer;      // [h, r], run dtype, largest entries 1; down is the identity
  at::Tensor scales;        // s [n, h], run dtype, largest entry 1
  at::Tensor units;         // [n] float64: what the eigenvalues of the scaled problem are multiples of
  at::Tensor basis;         // A [d_in, r], float64, orthonormal columns; undefined: the identity
  at::Tensor complement;    // [d_in, d_in − r], float64: where all Q vanish
  BilinearLayer exact;      // [h, d_in], float64, as stored, for checking; down is the identity
  at::Tensor exact_scales;  // s [n, h], float64
};

double largest(const at::Tensor& tensor) {
  const double value = tensor.abs().max().item<double>();
  return value > 0 ? value : 1.0;
}

Reduced reduce(const BilinearLayer& stored, const at::Tensor& embed, const at::Tensor& directions,
               at::Device device, at::ScalarType dtype, bool need_complement) {
  const auto layer = stored.to(at::kDouble, device);
  Reduced reduced;
  const auto u = directions.defined() ? directions.to(device, at::kDouble)
                                      : at::eye(layer.d_out(), layer.gate.options());
  reduced.exact_scales = layer.down.defined() ? u.mm(layer.down) : u;
  auto gate = layer.gate, up = layer.up;
  if (embed.defined()) {
    const auto e = embed.to(device, at::kDouble);
    const auto [a, r] = at::linalg_qr(e.t(), need_complement ? "complete" : "reduced");
    const int64_t rank = std::min(e.size(0), e.size(1));
    reduced.basis = a.narrow(1, 0, rank);
    if (need_complement) reduced.complement = a.narrow(1, rank, a.size(1) - rank);
    const auto r_t = r.narrow(0, 0, rank).t();
    reduced.exact = {gate.mm(e), up.mm(e), {}, {}, {}, {}, false};
    gate = gate.mm(r_t);
    up = up.mm(r_t);
  } else {
    reduced.exact = {gate, up, {}, {}, {}, {}, false};
  }
  const double gate_unit = largest(gate), up_unit = largest(up);
  const auto row_units = std::get<0>(reduced.exact_scales.abs().max(1));
  const auto safe_units = at::where(row_units > 0, row_units, at::ones_like(row_units));
  reduced.layer = {(gate / gate_unit).to(dtype), (up / up_unit).to(dtype), {}, {}, {}, {}, false};
  reduced.scales = (reduced.exact_scales / safe_units.unsqueeze(1)).to(dtype);
  reduced.units = safe_units * (gate_unit * up_unit);
  return reduced;
}

/// Order of one spectrum: falling |λ|; within a run of |λ| that are not told apart, positive ones first.
std::vector<int64_t> order_of(const double* values, int64_t count, double tie) {
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return std::abs(values[a]) > std::abs(values[b]); });
  for (auto begin = order.begin(); begin != order.end();) {
    auto end = begin + 1;
    while (end != order.end() && std::abs(values[*(end - 1)]) - std::abs(values[*end]) <= tie) ++end;
    std::stable_partition(begin, end, [&](int64_t i) { return values[i] > 0; });
    begin = end;
  }
  return order;
}

at::Tensor orient(const at::Tensor& vectors) {
  const auto at_largest = vectors.abs().argmax(-1, /*keepdim=*/true);
  const auto sign = vectors.gather(-1, at_largest).sign();
  return vectors * at::where(sign == 0, at::ones_like(sign), sign);
}

/// One library call, whole spectra: values [c, r] ascending, vectors [c, r, r] in columns; NaN where it gave
/// up.
std::pair<at::Tensor, at::Tensor> library_eigh(const at::Tensor& matrices) {
  try {
    const auto [values, vectors] = at::linalg_eigh(matrices);
    return {values, vectors};
  } catch (const c10::LinAlgError&) {
    const auto nan = std::numeric_limits<double>::quiet_NaN();
    return {at::full({matrices.size(0), matrices.size(1)}, nan, matrices.options()),
            at::full_like(matrices, nan)};
  }
}

/// Whether a library result is one: ‖(QX − XΛ)z‖ and ‖(XᵀX − I)z‖ over √r, small against what the dtype can
/// do, for a few Gaussian z. A wrong column j shows as |z_j| times its error; that all four z_j are below .01
/// has a chance of 4e-9. Forming the two matrices instead would cost a third of the eigensolver. [c] bool.
at::Tensor sound(const at::Tensor& matrices, const at::Tensor& values, const at::Tensor& vectors,
                 double tolerance) {
  constexpr int64_t kProbes = 4;
  const int64_t r = vectors.size(2);
  const auto z = at::randn({r, kProbes}, make_generator(at::kCPU, derive_seed(0, "soundness")), at::kFloat)
                     .to(vectors.options());
  const auto norm = std::get<0>(values.abs().max(1)).clamp_min(std::numeric_limits<float>::min());
  const auto xz = vectors.matmul(z);
  const auto residual = matrices.matmul(xz) - vectors.matmul(values.unsqueeze(2) * z);
  const auto off = vectors.mT().matmul(xz) - z;
  const auto size = [&](const at::Tensor& error) {
    return error.norm(2, {1}).amax(1) / std::sqrt(static_cast<double>(r));
  };
  return (size(residual) / norm).le(tolerance).logical_and(size(off).le(tolerance));
}

/// Solves a chunk, and again in float64 and on the CPU where the library's answer does not check out.
std::pair<at::Tensor, at::Tensor> checked_eigh(const at::Tensor& matrices) {
  auto [values, vectors] = library_eigh(matrices);
  // k·eps with k = 100 + r/4: ample for LAPACK's divide and conquer, and far below any wrong column.
  const double bound =
      (100.0 + 0.25 * static_cast<double>(matrices.size(1))) * machine_epsilon(matrices.scalar_type());
  auto good = sound(matrices, values, vectors, bound);
  if (good.all().item<bool>()) return {values, vectors};
  for (const at::Device device : {matrices.device(), at::Device(at::kCPU)}) {
    const auto bad = good.logical_not().nonzero().squeeze(1);
    if (bad.numel() == 0) break;
    log_debug(std::to_string(bad.numel()) + " of " + std::to_string(good.numel()) +
              " spectra did not check out; solving them in float64 on " + device.str());
    const auto part = matrices.index_select(0, bad).to(device, at::kDouble);
    const auto [v, x] = library_eigh(part);
    values = values.index_copy(0, bad, v.to(values.options()));
    vectors = vectors.index_copy(0, bad, x.to(vectors.options()));
    good = good.index_copy(0, bad, sound(part, v, x, bound).to(good.device()));
  }
  return {values, vectors};
}

/// What the whole spectrum of one direction says about its first k eigenvalues. The r values of the solved
/// problem are known; the other d − r are 0.
struct Spectrum {
  const double* values;  // ascending
  int64_t r, d;

  double norm() const { return std::max(std::abs(values[0]), std::abs(values[r - 1])); }

  /// (Σ|λ|)²/Σλ², the definition of the authors' code; 0 for Q = 0.
  double effective_rank() const {
    double sum = 0, squares = 0;
    const double unit = norm() > 0 ? norm() : 1.0;
    for (int64_t i = 0; i < r; ++i) {
      sum += std::abs(values[i]) / unit;
      squares += values[i] / unit * (values[i] / unit);
    }
    return squares > 0 ? sum * sum / squares : 0.0;
  }

  /// Distance of the i-th to the nearest other eigenvalue.
  double gap(int64_t i) const {
    double gap = r < d ? std::abs(values[i]) : std::numeric_limits<double>::infinity();
    if (i > 0) gap = std::min(gap, values[i] - values[i - 1]);
    if (i + 1 < r) gap = std::min(gap, values[i + 1] - values[i]);
    return gap;
  }

  /// Whether the k-th and the next |λ| are not told apart.
  bool tie_at(int64_t k, const std::vector<int64_t>& order, double tie) const {
    if (k >= d) return false;
    const auto magnitude = [&](int64_t rank) { return rank < r ? std::abs(values[order[rank]]) : 0.0; };
    return magnitude(k - 1) - magnitude(k) <= tie;
  }
};

EigenPairs make_result(int64_t n, int64_t k, int64_t d, const EigenConfig& config) {
  const auto real = at::dtype(at::kDouble);
  EigenPairs result;
  result.eigenvalues = at::zeros({n, k}, real);
  result.eigenvectors = at::zeros({n, k, d}, at::dtype(config.dtype));
  result.residuals = at::zeros({n, k}, real);
  result.trace = at::zeros({n}, real);
  if (config.energy) result.frobenius = at::zeros({n}, real);
  if (config.energy) result.weight_energy = at::zeros({n, k}, real);
  result.vector_error = at::zeros({n, k}, real);
  result.effective_rank = at::zeros({n}, real);
  result.converged = at::zeros({n}, at::kByte);
  result.columns = at::full({n}, d, at::kInt);
  result.cluster = at::zeros({n, k}, at::kInt);
  result.tie_at_k = at::zeros({n}, at::kByte);
  return result;
}

/// Solves directions first … first+count−1 and writes their rows.
void solve_chunk(const Reduced& reduced, int64_t first, int64_t count, const EigenConfig& config,
                 EigenPairs& result) {
  Stopwatch watch;
  const int64_t k = result.k(), d = result.eigenvectors.size(2), r = reduced.layer.d_in();
  const double eps = machine_epsilon(config.dtype);
  const InteractionOperator scaled(reduced.layer, reduced.scales.narrow(0, first, count));
  const auto matrices = scaled.form(0, count);
  result.seconds_form += watch.lap();
  const auto [values, vectors] = checked_eigh(matrices);
  const auto units = reduced.units.narrow(0, first, count);
  const auto spectra = (values.to(at::kDouble) * units.unsqueeze(1)).cpu().contiguous();
  result.seconds_solve += watch.lap();

  // The k of largest |λ| out of the r that are known; beyond r all eigenvalues are 0, on the complement of
  // the basis.
  const int64_t known = std::min(k, r);
  auto chosen = at::empty({count, known}, at::kLong);
  for (int64_t i = 0; i < count; ++i) {
    const Spectrum spectrum{spectra.const_data_ptr<double>() + i * r, r, d};
    const double tie = kTieFactor * eps * spectrum.norm();
    const auto order = order_of(spectrum.values, r, tie);
    std::copy_n(order.begin(), known, chosen.mutable_data_ptr<int64_t>() + i * known);
    result.effective_rank[first + i] = spectrum.effective_rank();
    result.tie_at_k[first + i] = static_cast<int64_t>(spectrum.tie_at(k, order, tie));
    for (int64_t j = 0; j < known; ++j) result.vector_error[first + i][j] = spectrum.gap(order[j]);
  }
  const auto index = chosen.to(vectors.device()).unsqueeze(1).expand({count, r, known});
  auto top = vectors.gather(2, index).to(at::kDouble);
  if (reduced.basis.defined()) top = at::matmul(reduced.basis, top);
  if (k > known)
    top = at::cat({top, reduced.complement.narrow(1, 0, k - known).expand({count, d, k - known})}, 2);
  top = top / top.norm(2, {1}, true);
  const auto rows = orient(top.mT().contiguous()).to(config.dtype);
  result.eigenvectors.narrow(0, first, count).copy_(rows);

  // Rayleigh quotients and residuals of the stored vectors against the weights as stored, in float64.
  const InteractionOperator exact(reduced.exact, reduced.exact_scales.narrow(0, first, count));
  const auto x = rows.to(at::kDouble).mT().contiguous();
  const auto qx = exact.apply(x);
  const auto lambda = (x * qx).sum(1) / (x * x).sum(1);
  const auto norms = std::get<0>(spectra.abs().max(1));
  const auto safe = at::where(norms > 0, norms, at::ones_like(norms)).unsqueeze(1);
  const auto residual = (qx - x * lambda.unsqueeze(1)).norm(2, {1}).cpu() / safe;
  result.eigenvalues.narrow(0, first, count).copy_(lambda);
  result.residuals.narrow(0, first, count).copy_(residual);
  auto gaps = result.vector_error.narrow(0, first, count);
  gaps.copy_(at::where(gaps > 0, (residual * safe / gaps).clamp_max(1.0), at::ones_like(gaps)));
  result.trace.narrow(0, first, count).copy_(exact.trace());
  if (config.energy) {
    result.frobenius.narrow(0, first, count).copy_(matrices.to(at::kDouble).norm(2, {1, 2}) * units);
  }
  result.seconds_check += watch.lap();
}

/// Rayleigh quotients can change the order of eigenvalues that are not told apart; the rows follow.
void sort_rows(EigenPairs& result, double eps) {
  const int64_t n = result.size(), k = result.k();
  for (int64_t i = 0; i < n; ++i) {
    const auto values = result.eigenvalues[i].clone();
    const auto* v = values.const_data_ptr<double>();
    const double tie = kTieFactor * eps * values.abs().max().item<double>();
    const auto order = order_of(v, k, tie);
    if (!std::is_sorted(order.begin(), order.end())) {
      const auto index = at::tensor(order, at::kLong);
      for (auto* tensor :
           {&result.eigenvalues, &result.eigenvectors, &result.residuals, &result.vector_error}) {
        (*tensor)[i].copy_((*tensor)[i].index_select(0, index));
      }
    }
    int32_t cluster = 0;
    auto* clusters = result.cluster.mutable_data_ptr<int32_t>() + i * k;
    for (int64_t j = 0; j < k; ++j) {
      if (j > 0 && std::abs(v[order[j]] - v[order[j - 1]]) > tie) ++cluster;
      clusters[j] = cluster;
    }
  }
}

void judge(EigenPairs& result, const EigenConfig& config) {
  const double tolerance = config.tolerance.value_or(config.dtype == at::kDouble ? 1e-10 : 5e-6);
  result.converged = std::get<0>(result.residuals.max(1)).le(tolerance).to(at::kByte);
  if (config.energy) {
    const auto total = result.frobenius.square().unsqueeze(1);
    const auto share = result.eigenvalues.square().cumsum(1) / total;
    result.weight_energy = at::where(total > 0, share, at::ones_like(share));
  }
}

}  // namespace

int64_t dense_bytes_per_direction(int64_t d_hidden, int64_t rank, int64_t d_in, int64_t k,
                                  at::ScalarType dtype) {
  // s ⊙ V, Wᵀ(s ⊙ V), Q, the vectors, LAPACK's workspace of two matrices; then, in float64, the k vectors and
  // their images under W, V and Q.
  const int64_t solve = (d_hidden * rank + 7 * rank * rank) * static_cast<int64_t>(c10::elementSize(dtype));
  return solve + k * 8 * (5 * d_in + 2 * d_hidden);
}

EigenPairs solve_dense(const BilinearLayer& layer, const at::Tensor& embed, const at::Tensor& directions,
                       at::Device device, const EigenConfig& config) {
  Stopwatch watch;
  check_layer(layer, "layer");
  const int64_t d = embed.defined() ? embed.size(1) : layer.d_in();
  const int64_t k = std::min(config.k, d);
  const int64_t rank = embed.defined() ? std::min(embed.size(0), embed.size(1)) : d;
  const auto reduced = reduce(layer, embed, directions, device, config.dtype, k > rank);
  const int64_t n = reduced.scales.size(0);
  auto result = make_result(n, k, d, config);
  result.seconds_form = watch.lap();
  const int64_t chunk = std::clamp<int64_t>(
      config.memory_limit / dense_bytes_per_direction(layer.d_hidden(), rank, d, k, config.dtype), 1, n);
  Progress progress("decompose", n, "directions");
  for (int64_t first = 0; first < n; first += chunk) {
    if (stop_requested()) throw Stopped{};
    const int64_t count = std::min(chunk, n - first);
    solve_chunk(reduced, first, count, config, result);
    progress.advance(count);
  }
  watch.lap();
  sort_rows(result, machine_epsilon(config.dtype));
  judge(result, config);
  result.seconds_check += watch.lap();
  return result;
}

}  // namespace bilens
