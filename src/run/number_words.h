#pragma once

#include <string>

namespace bilens {

/// "0.983" with three decimals; "undefined" for what is not finite, such as R² of a constant.
std::string number_in_words(double value, int decimals);

}  // namespace bilens
