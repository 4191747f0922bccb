#include <algorithm>

#include "gate_functions.h"
#include "gated_product_kernels.h"

namespace bilens {

namespace {

constexpr int kThreads = 256;
constexpr long kMaxBlocks = 65535;

template <Gate kGate, class T>
__global__ void forward_kernel(const T* gate, const T* up, T* y, long count) {
  for (long i = blockIdx.x * long(blockDim.x) + threadIdx.x; i < count; i += long(gridDim.x) * blockDim.x) {
    forward_element<kGate>(gate, up, y, i);
  }
}

template <Gate kGate, class T>
__global__ void backward_kernel(const T* grad, const T* gate, const T* up, T* grad_gate, T* grad_up,
                                long count) {
  for (long i = blockIdx.x * long(blockDim.x) + threadIdx.x; i < count; i += long(gridDim.x) * blockDim.x) {
    backward_element<kGate>(grad, gate, up, grad_gate, grad_up, i);
  }
}

int blocks_for(long count) {
  return static_cast<int>(std::min(kMaxBlocks, (count + kThreads - 1) / kThreads));
}

}  // namespace

template <class T>
void launch_gated_product_forward(Gate activation, const T* gate, const T* up, T* y, long count,
                                  cudaStream_t stream) {
  dispatch_gate(activation, [&]<Gate kGate>() {
    forward_kernel<kGate><<<blocks_for(count), kThreads, 0, stream>>>(gate, up, y, count);
  });
}

template <class T>
void launch_gated_product_backward(Gate activation, const T* grad, const T* gate, const T* up, T* grad_gate,
                                   T* grad_up, long count, cudaStream_t stream) {
  dispatch_gate(activation, [&]<Gate kGate>() {
    backward_kernel<kGate>
        <<<blocks_for(count), kThreads, 0, stream>>>(grad, gate, up, grad_gate, grad_up, count);
  });
}

template void launch_gated_product_forward(Gate, const float*, const float*, float*, long, cudaStream_t);
template void launch_gated_product_forward(Gate, const double*, const double*, double*, long, cudaStream_t);
template void launch_gated_product_backward(Gate, const float*, const float*, const float*, float*, float*,
                                            long, cudaStream_t);
template void launch_gated_product_backward(Gate, const double*, const double*, const double*, double*,
                                            double*, long, cudaStream_t);

}  // namespace bilens
