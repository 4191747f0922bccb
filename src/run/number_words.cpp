#include "number_words.h"

#include <cmath>

#include "bilens/core/text.h"

namespace bilens {

std::string number_in_words(double value, int decimals) {
  return std::isfinite(value) ? format("%.*f", decimals, value) : "undefined";
}

}  // namespace bilens
