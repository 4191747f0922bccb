#pragma once

#include <ATen/core/Tensor.h>

#include "bilens/nn/gate.h"

namespace bilens {

/// gated_product and its gradients on the current stream of the tensors' device; contiguous tensors of one
/// shape.
/// @throws std::runtime_error in a build without CUDA
void gated_product_forward_cuda(Gate activation, const at::Tensor& gate, const at::Tensor& up, at::Tensor& y);
void gated_product_backward_cuda(Gate activation, const at::Tensor& grad, const at::Tensor& gate,
                                 const at::Tensor& up, at::Tensor& grad_gate, at::Tensor& grad_up);

}  // namespace bilens
