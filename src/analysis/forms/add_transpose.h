#pragma once

#include <ATen/core/Tensor.h>

namespace bilens {

/// A ← A + Aᵀ in place, exactly symmetric, for one matrix [d, d] or a batch [c, d, d] of contiguous ones. By
/// tiles that stay in the cache: reading a large matrix across its rows costs five times as much.
void add_transpose(const at::Tensor& a);

}  // namespace bilens
