#pragma once

#include <ATen/core/Tensor.h>

namespace bilens {

/// c tanh(x/c), which stays below c: what Gemma 2 makes of attention scores and logits (arXiv 2408.00118).
/// @param cap c; 0: x itself
at::Tensor soft_capped(const at::Tensor& x, double cap);

/// Caps x in place, without gradients. @return its derivatives, for which cap has to be above 0
at::Tensor soft_cap_(at::Tensor& x, double cap);

}  // namespace bilens
