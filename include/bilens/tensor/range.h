#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace bilens {

/// Before a tensor is held in a narrower dtype. @throws Error(kBadInput) with its largest number when a
/// finite one would become infinite there.
void require_range(const at::Tensor& tensor, at::ScalarType dtype, const std::string& name);

}  // namespace bilens
