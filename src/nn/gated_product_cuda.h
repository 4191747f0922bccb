#pragma once

#include <ATen/core/Tensor.h>

#include "bilens/nn/gate.h"

namespace bilens {

/// gated_rows and its gradients on the current stream of the tensors' device; matrices of one shape, float32,
/// float64 or bfloat16. Exported by libbilens_cuda.so (bilens/tensor/cuda_library.h) as
/// "bilens_gated_product_cuda".
struct GatedProductCuda {
  void (*forward)(const Activation& activation, const at::Tensor& gate, const at::Tensor& up, at::Tensor& y);
  void (*backward)(const Activation& activation, const at::Tensor& grad, const at::Tensor& gate,
                   const at::Tensor& up, at::Tensor& grad_gate, at::Tensor& grad_up);
};

}  // namespace bilens
