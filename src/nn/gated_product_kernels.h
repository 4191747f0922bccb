#pragma once

#include <cuda_runtime_api.h>

#include "bilens/nn/gate.h"

namespace bilens {

/// Launches over raw device pointers, so that nvcc need not read LibTorch's headers. T is float or double.
template <class T>
void launch_gated_product_forward(Gate activation, const T* gate, const T* up, T* y, long count,
                                  cudaStream_t stream);
template <class T>
void launch_gated_product_backward(Gate activation, const T* grad, const T* gate, const T* up, T* grad_gate,
                                   T* grad_up, long count, cudaStream_t stream);

}  // namespace bilens
