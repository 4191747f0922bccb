#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>

namespace bilens {

/// Bytes of a tensor without gaps; nothing where they, or the product of its sizes other than 0, do not fit
/// into 63 bits.
std::optional<size_t> tensor_bytes(at::ScalarType dtype, at::IntArrayRef shape);

/// The tensor whose elements lie `strides` (in elements) apart from `data` on and span `bytes`, at least
/// those of one element; `data` keeps the memory. A view, to be read only, where the data are aligned to the
/// dtype; else of a copy.
at::Tensor tensor_over(const std::shared_ptr<const char>& data, at::ScalarType dtype, at::IntArrayRef shape,
                       at::IntArrayRef strides, size_t bytes);

/// A tensor of any size on data without gaps, last dimension fastest.
at::Tensor tensor_over(const std::shared_ptr<const char>& data, at::ScalarType dtype, at::IntArrayRef shape);

}  // namespace bilens
