#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "bilens/core/json.h"

namespace bilens::report {

/// RFC 4648, with padding.
std::string base64(const void* data, size_t bytes);

/// A vector as signed bytes: {"values": base64 of round(127 v / scale), "scale": the largest |v|}. Zero stays
/// exactly zero.
/// @param vector real [d]
Json quantised(const at::Tensor& vector);

}  // namespace bilens::report
