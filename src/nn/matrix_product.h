#pragma once

#include <ATen/core/Tensor.h>

namespace bilens {

/// a · b of two matrices, in the dtype of both. On a CPU without instructions for bfloat16 or float16 a large
/// product is computed in float32 and rounded once, as it is with them: LibTorch's own takes many times as
/// long there.
at::Tensor matrix_product(const at::Tensor& a, const at::Tensor& b);
/// Writes a · b into a matrix that is there.
void matrix_product_into(at::Tensor& result, const at::Tensor& a, const at::Tensor& b);

}  // namespace bilens
