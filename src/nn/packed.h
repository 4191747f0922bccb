#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace bilens {

/// The matrices or vectors as the rows of one: a view where they follow each other in memory, else undefined.
at::Tensor as_one(const std::vector<at::Tensor>& parts);

/// x [..., d] as rows [n, d], and rows as an x of these sizes again. Where x is rows already nothing is done:
/// for one token each call of LibTorch counts.
inline at::Tensor as_rows(const at::Tensor& x) { return x.dim() == 2 ? x : x.reshape({-1, x.size(-1)}); }
inline at::Tensor shaped_as(const at::Tensor& rows, const at::Tensor& x) {
  if (x.dim() == 2) return rows;
  auto sizes = x.sizes().vec();
  sizes.back() = rows.size(1);
  return rows.view(sizes);
}

/// x Wᵀ for each W, side by side: x [n, d_in] → [n, Σ d_i].
at::Tensor times_transposed(const at::Tensor& x, const std::vector<at::Tensor>& weights);

/// Σ_i y_i W_i for y = [y₁, y₂, …]: [n, Σ d_i] → [n, d_in].
at::Tensor times(const at::Tensor& y, const std::vector<at::Tensor>& weights);

/// yᵀx cut into the matrices' shapes: views of one product.
std::vector<at::Tensor> weight_gradients(const at::Tensor& y, const at::Tensor& x,
                                         const std::vector<at::Tensor>& weights);

/// The sum over rows cut into the vectors' shapes.
std::vector<at::Tensor> bias_gradients(const at::Tensor& y, const std::vector<at::Tensor>& biases);

}  // namespace bilens
