#include <algorithm>

#include "gated_product_kernels.h"
#include "kernels/gate_functions.h"

namespace bilens {

namespace {

constexpr int kThreads = 256;  // of a block
constexpr long kMaxBlocks = 65535;

/// Calls `body` for the places of rows and columns that are this thread's: neighbours take neighbouring
/// columns.
template <class Body>
__device__ inline void for_elements(const Rows& rows, const Body& body) {
  for (long row = blockIdx.y * long(blockDim.y) + threadIdx.y; row < rows.count;
       row += long(gridDim.y) * blockDim.y) {
    for (long column = blockIdx.x * long(blockDim.x) + threadIdx.x; column < rows.width;
         column += long(gridDim.x) * blockDim.x)
      body(row, column);
  }
}

template <Gate kGate, class T, class C>
__global__ void forward_kernel(const T* gate, const T* up, T* y, C beta, Rows rows) {
  for_elements(rows, [&](long row, long column) {
    const long in = row * rows.stride_in + column, out = row * rows.stride_out + column;
    forward_element<kGate>(gate + in, up + in, y + out, beta, 0);
  });
}

template <Gate kGate, class T, class C>
__global__ void backward_kernel(const T* grad, const T* gate, const T* up, T* grad_gate, T* grad_up, C beta,
                                Rows rows) {
  for_elements(rows, [&](long row, long column) {
    const long in = row * rows.stride_in + column, out = row * rows.stride_out + column;
    backward_element<kGate>(grad + row * rows.width + column, gate + in, up + in, grad_gate + out,
                            grad_up + out, beta, 0);
  });
}

/// Blocks as wide as the rows where these are narrow, so that few threads have nothing to do.
struct Launch {
  dim3 grid, block;

  explicit Launch(const Rows& rows) {
    unsigned wide = 32;
    while (wide < kThreads && wide < rows.width) wide *= 2;
    block = dim3(wide, kThreads / wide);
    const auto blocks = [](long count, long each) {
      return static_cast<unsigned>(std::min(kMaxBlocks, (count + each - 1) / each));
    };
    grid = dim3(blocks(rows.width, block.x), blocks(rows.count, block.y));
  }
};

}  // namespace

template <class T>
void launch_gated_product_forward(Activation activation, const T* gate, const T* up, T* y, Rows rows,
                                  cudaStream_t stream) {
  const auto beta = static_cast<typename Computation<T>::type>(activation.beta);
  const Launch launch(rows);
  dispatch_gate(activation.kind, [&]<Gate kGate>() {
    forward_kernel<kGate><<<launch.grid, launch.block, 0, stream>>>(gate, up, y, beta, rows);
  });
}

template <class T>
void launch_gated_product_backward(Activation activation, const T* grad, const T* gate, const T* up,
                                   T* grad_gate, T* grad_up, Rows rows, cudaStream_t stream) {
  const auto beta = static_cast<typename Computation<T>::type>(activation.beta);
  const Launch launch(rows);
  dispatch_gate(activation.kind, [&]<Gate kGate>() {
    backward_kernel<kGate>
        <<<launch.grid, launch.block, 0, stream>>>(grad, gate, up, grad_gate, grad_up, beta, rows);
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
