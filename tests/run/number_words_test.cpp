#include "number_words.h"

#include <cmath>

#include "catch.h"

namespace bilens::number_words_test {

TEST_CASE("a number that is not finite is undefined") {
  CHECK(number_in_words(0.98349, 3) == "0.983");
  CHECK(number_in_words(-2, 0) == "-2");
  CHECK(number_in_words(NAN, 3) == "undefined");
  CHECK(number_in_words(-INFINITY, 3) == "undefined");
}

}  // namespace bilens::number_words_test
