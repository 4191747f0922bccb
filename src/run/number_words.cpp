#include "number_words.h"

#include <cmath>

#include "bilens/core/text.h"

namespace bilens {

std::string number_in_words(const Json& value, int decimals) {
  if (value.is_null() || !std::isfinite(value.get<double>())) return "undefined";
  return format("%.*f", decimals, value.get<double>());
}

}  // namespace bilens
