#include "dense_eigen.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <limits>
#include <string>

#include "bilens/core/log.h"
#include "bilens/tensor/device.h"
#include "bilens/tensor/random.h"

namespace bilens {

namespace {

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

/// NaN where the library gave up.
void eigh_into(const at::Tensor& matrices, const at::Tensor& values, const at::Tensor& vectors) {
  try {
    const auto [v, x] = at::linalg_eigh(matrices);
    values.copy_(v);
    vectors.copy_(x);
  } catch (const c10::LinAlgError&) {
    values.fill_(std::numeric_limits<double>::quiet_NaN());
    vectors.fill_(std::numeric_limits<double>::quiet_NaN());
  }
}

}  // namespace

std::pair<at::Tensor, at::Tensor> batched_eigh(const at::Tensor& matrices) {
  const int64_t count = matrices.size(0);
  auto values = at::empty({count, matrices.size(1)}, matrices.options());
  auto vectors = at::empty_like(matrices);
  if (!matrices.device().is_cpu() || count < at::get_num_threads()) {
    eigh_into(matrices, values, vectors);
  } else {
    at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) eigh_into(matrices[i], values[i], vectors[i]);
    });
  }
  return {values, vectors};
}

std::pair<at::Tensor, at::Tensor> repair_eigh(const at::Tensor& matrices, at::Tensor values,
                                              at::Tensor vectors) {
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
    const auto [v, x] = batched_eigh(part);
    values = values.index_copy(0, bad, v.to(values.options()));
    vectors = vectors.index_copy(0, bad, x.to(vectors.options()));
    good = good.index_copy(0, bad, sound(part, v, x, bound).to(good.device()));
  }
  return {values, vectors};
}

std::pair<at::Tensor, at::Tensor> checked_eigh(const at::Tensor& matrices) {
  const auto [values, vectors] = batched_eigh(matrices);
  return repair_eigh(matrices, values, vectors);
}

}  // namespace bilens
