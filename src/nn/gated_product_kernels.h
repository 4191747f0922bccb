#pragma once

#include <cuda_runtime_api.h>

#include "kernels/cpu_kernels.h"

namespace bilens {

/// Launches over raw device pointers, so that nvcc need not read LibTorch's headers. T is float, double or
/// Bfloat16; the layout of the rows is that of GatedKernels.
template <class T>
void launch_gated_product_forward(Activation activation, const T* gate, const T* up, T* y, Rows rows,
                                  cudaStream_t stream);
template <class T>
void launch_gated_product_backward(Activation activation, const T* grad, const T* gate, const T* up,
                                   T* grad_gate, T* grad_up, Rows rows, cudaStream_t stream);

}  // namespace bilens
