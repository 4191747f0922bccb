#pragma once

#include <string>

#include "bilens/core/json.h"

namespace bilens {

/// "0.983" with three decimals; "undefined" for null and for what is not finite, such as R² of a constant.
std::string number_in_words(const Json& value, int decimals);

}  // namespace bilens
