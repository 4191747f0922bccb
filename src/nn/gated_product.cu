#include <algorithm>

#include "gated_product_kernels.h"
#include "kernels/gate_functions.h"

namespace bilens {

namespace {

constexpr int kThreads = 256;
constexpr long kMaxBlocks = 65535;

/// The element i of a matrix without gaps, in one whose rows are `stride` apart.
__device__ inline long place(long i, const Rows& rows, long stride) {
  return i / rows.width * stride + i % rows.width;
}

template <Gate kGate, class T, class C>
__global__ void forward_kernel(const T* gate, const T* up, T* y, C beta, Rows rows) {
  const long count = rows.count * rows.width;
  for (long i = blockIdx.x * long(blockDim.x) + threadIdx.x; i < count; i += long(gridDim.x) * blockDim.x) {
    const long in = place(i, rows, rows.stride_in), out = place(i, rows, rows.stride_out);
    forward_element<kGate>(gate + in, up + in, y + out, beta, 0);
  }
}

template <Gate kGate, class T, class C>
__global__ void backward_kernel(const T* grad, const T* gate, const T* up, T* grad_gate, T* grad_up, C beta,
                                Rows rows) {
  const long count = rows.count * rows.width;
  for (long i = blockIdx.x * long(blockDim.x) + threadIdx.x; i < count; i += long(gridDim.x) * blockDim.x) {
    const long in = place(i, rows, rows.stride_in), out = place(i, rows, rows.stride_out);
    backward_element<kGate>(grad + i, gate + in, up + in, grad_gate + out, grad_up + out, beta, 0);
  }
}

int blocks_for(const Rows& rows) {
  return static_cast<int>(std::min<long>(kMaxBlocks, (rows.count * rows.width + kThreads - 1) / kThreads));
}

}  // namespace

template <class T>
void launch_gated_product_forward(Activation activation, const T* gate, const T* up, T* y, Rows rows,
                                  cudaStream_t stream) {
  const auto beta = static_cast<typename Computation<T>::type>(activation.beta);
  dispatch_gate(activation.kind, [&]<Gate kGate>() {
    forward_kernel<kGate><<<blocks_for(rows), kThreads, 0, stream>>>(gate, up, y, beta, rows);
  });
}

template <class T>
void launch_gated_product_backward(Activation activation, const T* grad, const T* gate, const T* up,
                                   T* grad_gate, T* grad_up, Rows rows, cudaStream_t stream) {
  const auto beta = static_cast<typename Computation<T>::type>(activation.beta);
  dispatch_gate(activation.kind, [&]<Gate kGate>() {
    backward_kernel<kGate>
        <<<blocks_for(rows), kThreads, 0, stream>>>(grad, gate, up, grad_gate, grad_up, beta, rows);
  });
}

#define BILENS_INSTANTIATE(T)                                                                         \
  template void launch_gated_product_forward(Activation, const T*, const T*, T*, Rows, cudaStream_t); \
  template void launch_gated_product_backward(Activation, const T*, const T*, const T*, T*, T*, Rows, \
                                              cudaStream_t);
BILENS_INSTANTIATE(float)
BILENS_INSTANTIATE(double)
BILENS_INSTANTIATE(Bfloat16)
#undef BILENS_INSTANTIATE

}  // namespace bilens
