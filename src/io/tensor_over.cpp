#include "tensor_over.h"

#include <ATen/ATen.h>

#include <cstring>

namespace bilens {

std::optional<size_t> tensor_bytes(at::ScalarType dtype, at::IntArrayRef shape) {
  auto bytes = static_cast<int64_t>(c10::elementSize(dtype));
  bool empty = false;
  for (const int64_t size : shape) {
    empty = empty || size == 0;
    if (size < 0 || __builtin_mul_overflow(bytes, std::max<int64_t>(size, 1), &bytes)) return std::nullopt;
  }
  return empty ? 0 : static_cast<size_t>(bytes);
}

at::Tensor tensor_over(const std::shared_ptr<const char>& data, at::ScalarType dtype, at::IntArrayRef shape,
                       at::IntArrayRef strides, size_t bytes) {
  const bool aligned = reinterpret_cast<uintptr_t>(data.get()) % c10::elementSize(dtype) == 0;
  if (aligned) {
    return at::from_blob(
        const_cast<char*>(data.get()), shape, strides, [data](void*) {}, at::dtype(dtype));
  }
  auto copy = at::empty({static_cast<int64_t>(bytes / c10::elementSize(dtype))}, at::dtype(dtype));
  std::memcpy(copy.mutable_data_ptr(), data.get(), bytes);
  return copy.as_strided(shape, strides);
}

at::Tensor tensor_over(const std::shared_ptr<const char>& data, at::ScalarType dtype, at::IntArrayRef shape) {
  const size_t bytes = tensor_bytes(dtype, shape).value();
  if (bytes == 0) return at::empty(shape, at::dtype(dtype));
  return tensor_over(data, dtype, shape, c10::contiguous_strides(shape), bytes);
}

}  // namespace bilens
