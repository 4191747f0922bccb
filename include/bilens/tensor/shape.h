#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace bilens {

/// "[2, 3]"
std::string describe_shape(at::IntArrayRef shape);

/// -1 in `shape` stands for any size. @throws Error(kBadInput) that names the tensor.
void require_shape(const at::Tensor& tensor, at::IntArrayRef shape, const std::string& name);

/// @throws Error(kBadInput) when an element is NaN or infinite.
void require_finite(const at::Tensor& tensor, const std::string& name);

}  // namespace bilens
