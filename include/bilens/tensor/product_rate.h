#pragma once

#include <ATen/core/Tensor.h>

namespace bilens {

/// Floating-point operations a second that matrix products reach on a device, measured for about 50 ms: what
/// estimates of time and shares of the machine's speed refer to.
double measure_product_rate(at::Device device, at::ScalarType dtype);

}  // namespace bilens
