// Part of libbilens_cuda.so.
#include "gated_product_cuda.h"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "gated_product_kernels.h"
#include "gated_storage.h"

namespace bilens {

namespace {

void forward(const Activation& activation, const at::Tensor& gate, const at::Tensor& up, at::Tensor& y) {
  if (gate.numel() == 0) return;
  const c10::cuda::CUDAGuard guard(gate.device());
  dispatch_storage(gate.scalar_type(), [&]<class T>() {
    launch_gated_product_forward<T>(activation, readable<T>(gate), readable<T>(up), writable<T>(y),
                                    {gate.size(0), gate.size(1), gate.stride(0), y.stride(0)},
                                    c10::cuda::getCurrentCUDAStream());
  });
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void backward(const Activation& activation, const at::Tensor& grad, const at::Tensor& gate,
              const at::Tensor& up, at::Tensor& grad_gate, at::Tensor& grad_up) {
  if (gate.numel() == 0) return;
  const c10::cuda::CUDAGuard guard(gate.device());
  dispatch_storage(gate.scalar_type(), [&]<class T>() {
    launch_gated_product_backward<T>(activation, readable<T>(grad), readable<T>(gate), readable<T>(up),
                                     writable<T>(grad_gate), writable<T>(grad_up),
                                     {gate.size(0), gate.size(1), gate.stride(0), grad_gate.stride(0)},
                                     c10::cuda::getCurrentCUDAStream());
  });
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace

extern "C" __attribute__((visibility("default")))
const GatedProductCuda bilens_gated_product_cuda = {&forward, &backward};

}  // namespace bilens
