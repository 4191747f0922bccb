// Part of libbilens_cuda.so.
#include "gated_product_cuda.h"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <stdexcept>

#include "gated_product_kernels.h"

namespace bilens {

namespace {

/// Calls `body` with the kernels' type of the tensor's numbers.
template <class Body>
void dispatch_storage(at::ScalarType dtype, const Body& body) {
  switch (dtype) {
    case at::kFloat: return body.template operator()<float>();
    case at::kDouble: return body.template operator()<double>();
    case at::kBFloat16: return body.template operator()<Bfloat16>();
    default: throw std::invalid_argument("gated_product: float32, float64 or bfloat16");
  }
}

template <class T>
const T* read(const at::Tensor& tensor) {
  return static_cast<const T*>(tensor.const_data_ptr());
}

template <class T>
T* write(at::Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}

void forward(const Activation& activation, const at::Tensor& gate, const at::Tensor& up, at::Tensor& y) {
  if (gate.numel() == 0) return;
  const c10::cuda::CUDAGuard guard(gate.device());
  dispatch_storage(gate.scalar_type(), [&]<class T>() {
    launch_gated_product_forward<T>(activation, read<T>(gate), read<T>(up), write<T>(y),
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
    launch_gated_product_backward<T>(
        activation, read<T>(grad), read<T>(gate), read<T>(up), write<T>(grad_gate), write<T>(grad_up),
        {gate.size(0), gate.size(1), gate.stride(0), grad_gate.stride(0)}, c10::cuda::getCurrentCUDAStream());
  });
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace

extern "C" __attribute__((visibility("default")))
const GatedProductCuda bilens_gated_product_cuda = {&forward, &backward};

}  // namespace bilens
