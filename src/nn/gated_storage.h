#pragma once

#include <ATen/core/Tensor.h>

#include <stdexcept>

#include "kernels/cpu_kernels.h"

namespace bilens {

/// Calls `body` with the type that the kernels have for numbers of a dtype: float, double or Bfloat16.
template <class Body>
void dispatch_storage(at::ScalarType dtype, const Body& body) {
  switch (dtype) {
    case at::kFloat: return body.template operator()<float>();
    case at::kDouble: return body.template operator()<double>();
    case at::kBFloat16: return body.template operator()<Bfloat16>();
    default: throw std::invalid_argument("gated_product: float32, float64 or bfloat16");
  }
}

/// A tensor's numbers as that type, to be read.
template <class T>
const T* readable(const at::Tensor& tensor) {
  return static_cast<const T*>(tensor.const_data_ptr());
}

/// A tensor's numbers as that type, to be written; null where the tensor is not defined.
template <class T>
T* writable(at::Tensor& tensor) {
  return tensor.defined() ? static_cast<T*>(tensor.mutable_data_ptr()) : nullptr;
}

}  // namespace bilens
