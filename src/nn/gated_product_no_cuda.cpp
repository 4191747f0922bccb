// Stands in for gated_product_cuda.cpp in builds without CUDA.
#include "gated_product_cuda.h"

#include <stdexcept>

namespace bilens {

void gated_product_forward_cuda(const Activation&, const at::Tensor&, const at::Tensor&, at::Tensor&) {
  throw std::runtime_error("gated_product: built without CUDA");
}

void gated_product_backward_cuda(const Activation&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                 at::Tensor&, at::Tensor&) {
  throw std::runtime_error("gated_product: built without CUDA");
}

}  // namespace bilens
