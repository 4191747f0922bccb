#include "eigen/spectrum.h"

#include "catch.h"

namespace bilens::spectrum_test {
namespace {

TEST_CASE("a long chain of near neighbours is no tie of its ends") {
  // Signs alternate, each |λ| .8 ties below the one before: only neighbours are not told apart.
  std::vector<double> values;
  for (int i = 0; i < 12; ++i) values.push_back((50 - 0.8 * i) * (i % 2 == 0 ? 1 : -1));
  const auto order = order_of(values.data(), 12, /*tie=*/1);
  for (size_t i = 1; i < order.size(); ++i)
    CHECK(std::abs(values[order[i]]) <= std::abs(values[order[i - 1]]) + 1);
  const Spectrum spectrum{values.data(), 12, 12, true};
  for (int64_t k = 1; k < 12; ++k) {
    CHECK(spectrum.tie_at(k, 1));
    CHECK_FALSE(spectrum.tie_at(k, 0.7));
  }
  CHECK_FALSE(spectrum.tie_at(12, 1));
}

TEST_CASE("positive eigenvalues come first where sizes tie") {
  const double values[] = {-3, 3, 1, -1.5};
  CHECK(order_of(values, 4, 0) == std::vector<int64_t>{1, 0, 3, 2});
  CHECK(order_of(values, 4, 0.5) == std::vector<int64_t>{1, 0, 2, 3});
}

}  // namespace
}  // namespace bilens::spectrum_test
