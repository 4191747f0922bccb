#pragma once

#include <vector>

#include "bilens/core/json.h"

namespace bilens::report {

/// Six significant digits, so that pages stay small; null when it is not finite.
Json short_number(double value);
Json short_numbers(const std::vector<double>& values);

}  // namespace bilens::report
