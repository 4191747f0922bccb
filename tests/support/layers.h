#pragma once

#include <ATen/ATen.h>

#include "bilens/analysis/forms/bilinear_layer.h"
#include "bilens/tensor/random.h"

namespace bilens::test {

/// Standard normal numbers, float64, from a seed.
inline at::Tensor random_tensor(at::IntArrayRef shape, uint64_t seed) {
  return at::randn(shape, make_generator(at::kCPU, seed), at::dtype(at::kDouble));
}

/// [h, d] and [m, h] of standard normal numbers over √d and √h; float64.
inline BilinearLayer random_layer(int64_t h, int64_t d, int64_t m, bool with_down, uint64_t seed) {
  BilinearLayer layer;
  layer.gate = random_tensor({h, d}, seed * 3) / std::sqrt(static_cast<double>(d));
  layer.up = random_tensor({h, d}, seed * 3 + 1) / std::sqrt(static_cast<double>(d));
  if (with_down) layer.down = random_tensor({m, h}, seed * 3 + 2) / std::sqrt(static_cast<double>(h));
  return layer;
}

/// Q_u[i][j] = Σ_k s_k (W_ki V_kj + W_kj V_ki) / 2, one entry after the other: the reference.
inline at::Tensor slow_matrices(const BilinearLayer& layer, const at::Tensor& u) {
  const auto s = (layer.down.defined() ? u.mm(layer.down) : u).contiguous();
  const auto w = layer.gate.contiguous(), v = layer.up.contiguous();
  const int64_t n = s.size(0), h = layer.d_hidden(), d = layer.d_in();
  auto q = at::zeros({n, d, d}, at::kDouble);
  const auto S = s.accessor<double, 2>(), W = w.accessor<double, 2>(), V = v.accessor<double, 2>();
  auto Q = q.accessor<double, 3>();
  for (int64_t a = 0; a < n; ++a) {
    for (int64_t i = 0; i < d; ++i) {
      for (int64_t j = 0; j < d; ++j) {
        for (int64_t k = 0; k < h; ++k) Q[a][i][j] += S[a][k] * (W[k][i] * V[k][j] + W[k][j] * V[k][i]) / 2;
      }
    }
  }
  return q;
}

/// A layer of 2r hidden units whose single output has Q = Σ λ_i x_i x_iᵀ for orthonormal x_i: eigenvalues
/// planted.
inline BilinearLayer planted_layer(const std::vector<double>& eigenvalues, int64_t d, uint64_t seed,
                                   at::Tensor* vectors = nullptr) {
  const auto r = static_cast<int64_t>(eigenvalues.size());
  const auto x = std::get<0>(at::linalg_qr(random_tensor({d, r}, seed))).t().contiguous();
  BilinearLayer layer;
  layer.gate = x;
  layer.up = x;
  layer.down = at::tensor(eigenvalues, at::kDouble).view({1, r});
  if (vectors != nullptr) *vectors = x;
  return layer;
}

}  // namespace bilens::test
