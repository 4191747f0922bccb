#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

namespace bilens {

/// Whether a function of these tensors is to be differentiated. Where not, it is called without autograd,
/// whose bookkeeping costs as much as the products of a small model.
inline bool is_tracked(at::TensorList tensors) {
  return at::GradMode::is_enabled() &&
         std::any_of(tensors.begin(), tensors.end(), [](const at::Tensor& t) { return t.requires_grad(); });
}

}  // namespace bilens
