#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "bilens/core/json.h"

namespace bilens::report {

/// Six significant digits, so that pages stay small; null when it is not finite.
Json short_number(double value);
Json short_numbers(const std::vector<double>& values);

/// How many of the values [k] are larger than the one at `index`.
int64_t place_by_size(const at::Tensor& values, int64_t index);

}  // namespace bilens::report
