#pragma once

#include <ATen/core/Tensor.h>

namespace bilens {

/// tensor / largest |entry|, in the dtype; `unit` takes the factor, so that 1e±30 neither overflows nor
/// vanishes.
at::Tensor scale_to_one(const at::Tensor& tensor, at::ScalarType dtype, double& unit);

/// Rows with their largest component positive: [..., d].
at::Tensor orient(const at::Tensor& vectors);

}  // namespace bilens
