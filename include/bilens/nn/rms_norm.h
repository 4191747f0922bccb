#pragma once

#include <ATen/core/Tensor.h>

namespace bilens {

/// y = x / √(mean(x²) + ε) ⊙ gain over the last dimension (arXiv 1910.07467, equation 4). In float32 on the
/// CPU one pass each way, which keeps x and one number a row; bfloat16 is computed in float32.
/// @param x [..., d]
/// @param gain [d], of any of these dtypes
/// @return [..., d], x's dtype
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& gain, double epsilon);

}  // namespace bilens
