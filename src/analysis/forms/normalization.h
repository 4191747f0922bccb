#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace bilens {

/// tensor / largest |entry|, in the dtype; `unit` takes the factor, so that 1e±30 neither overflows nor
/// vanishes.
at::Tensor scale_to_one(const at::Tensor& tensor, at::ScalarType dtype, double& unit);

/// 2^exponent, exactly, for whole numbers within ±1000: float64 where they are.
at::Tensor power_of_two(const at::Tensor& exponents);

/// tensor · 2^exponent, whatever the exponents (float64, whole numbers, of a shape that broadcasts): exact,
/// but where the result is below the dtype's normal range.
at::Tensor scale_by_power(const at::Tensor& tensor, const at::Tensor& exponents);

/// The whole part of log2 |x|, float64; −∞ for 0.
at::Tensor binary_exponent(const at::Tensor& x);

/// tensor · 2^-e in float64, e the binary exponent of its largest entry, where that is further from 0 than
/// ±100; `exponent` takes e. Else the tensor as it is.
/// @throws Error(kBadInput) where entries would vanish beside the largest
at::Tensor bring_near_one(const at::Tensor& tensor, const std::string& name, double& exponent);

/// @throws Error(kBadInput) where values of interaction matrices are too large for float64
void require_held(const at::Tensor& values);

/// Rows with their largest component positive: [..., d].
at::Tensor orient(const at::Tensor& vectors);

}  // namespace bilens
