// Compiled in builds with CUDA only; gated_product_no_cuda.cpp stands in elsewhere.
#include "gated_product_cuda.h"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "gated_product_kernels.h"

namespace bilens {

void gated_product_forward_cuda(Gate activation, const at::Tensor& gate, const at::Tensor& up,
                                at::Tensor& y) {
  if (gate.numel() == 0) return;
  const c10::cuda::CUDAGuard guard(gate.device());
  AT_DISPATCH_FLOATING_TYPES(gate.scalar_type(), "gated_product", [&] {
    launch_gated_product_forward<scalar_t>(activation, gate.const_data_ptr<scalar_t>(),
                                           up.const_data_ptr<scalar_t>(), y.mutable_data_ptr<scalar_t>(),
                                           gate.numel(), c10::cuda::getCurrentCUDAStream());
  });
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void gated_product_backward_cuda(Gate activation, const at::Tensor& grad, const at::Tensor& gate,
                                 const at::Tensor& up, at::Tensor& grad_gate, at::Tensor& grad_up) {
  if (gate.numel() == 0) return;
  const c10::cuda::CUDAGuard guard(gate.device());
  AT_DISPATCH_FLOATING_TYPES(gate.scalar_type(), "gated_product_backward", [&] {
    launch_gated_product_backward<scalar_t>(
        activation, grad.const_data_ptr<scalar_t>(), gate.const_data_ptr<scalar_t>(),
        up.const_data_ptr<scalar_t>(), grad_gate.mutable_data_ptr<scalar_t>(),
        grad_up.mutable_data_ptr<scalar_t>(), gate.numel(), c10::cuda::getCurrentCUDAStream());
  });
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace bilens
