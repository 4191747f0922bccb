#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace bilens {

/// The matrices or vectors as the rows of one: a view where they follow each other in memory, else undefined.
at::Tensor as_one(const std::vector<at::Tensor>& parts);

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
