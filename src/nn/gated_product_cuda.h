#pragma once

#include <ATen/core/Tensor.h>

#include "bilens/nn/gate.h"

namespace bilens {

/// gated_rows and its gradients on the current stream of the tensors' device; matrices of one shape, float32,
/// float64 or bfloat16.
/// @throws std::runtime_error in a build without CUDA
void gated_product_forward_cuda(const Activation& activation, const at::Tensor& gate, const at::Tensor& up,
                                at::Tensor& y);
void gated_product_backward_cuda(const Activation& activation, const at::Tensor& grad, const at::Tensor& gate,
                                 const at::Tensor& up, at::Tensor& grad_gate, at::Tensor& grad_up);

}  // namespace bilens
