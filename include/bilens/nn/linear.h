#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace bilens {

/// Matrices that read the same input, as the rows of one: storage in which they follow each other, without
/// gaps. Fills nothing.
/// @param rows of each matrix
/// @return views [rows_i, columns] of one new tensor
std::vector<at::Tensor> packed_rows(const std::vector<int64_t>& rows, int64_t columns,
                                    const at::TensorOptions& options);

/// y = x [W₁; W₂; …]ᵀ + [b₁; b₂; …]: one product where the matrices follow each other in memory
/// (packed_rows), else one for each; the gradients are one product each way.
/// @param x [..., d_in]
/// @param weights [d_i, d_in] each, of x's dtype and device
/// @param biases [d_i] each, or none
/// @return [..., Σ d_i]
at::Tensor linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                  const std::vector<at::Tensor>& biases = {});

}  // namespace bilens
