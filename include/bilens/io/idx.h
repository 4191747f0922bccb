#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>

namespace bilens {

/// Reads an IDX file of unsigned bytes, plain or gzip: two zero bytes, type 0x08, the number of dimensions,
/// the sizes (big-endian), the data. Any deviation, a truncated archive and bytes behind the data are errors.
/// @param dimensions expected number of dimensions (3 for images, 1 for labels)
/// @return uint8 tensor of the file's shape
/// @throws Error(kBadInput)
/// Source: http://yann.lecun.com/exdb/mnist/ (file format)
at::Tensor read_idx(const std::filesystem::path& path, int64_t dimensions);

/// Writes a uint8 tensor as plain IDX.
void write_idx(const std::filesystem::path& path, const at::Tensor& values);

}  // namespace bilens
