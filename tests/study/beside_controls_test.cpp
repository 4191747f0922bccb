#include "bilens/study/beside_controls.h"

#include <ATen/ATen.h>

#include <cmath>

#include "bilens/tensor/random.h"
#include "catch.h"

namespace bilens::beside_controls_test {
namespace {

TEST_CASE("p is the share of controls and the thing itself that are at least as large") {
  CHECK(rank_p(3.0, {1.0, 2.0, -1.0}) == 0.25);
  CHECK(rank_p(-3.0, {1.0, 2.0, -4.0}) == 0.5);
  CHECK(rank_p(1.0, {1.0, 1.0, 1.0}) == 1.0);  // ties count
  CHECK(std::isnan(rank_p(1.0, {})));
}

TEST_CASE("what is not a number is never significant") {
  CHECK(rank_p(NAN, {1.0, 2.0, 3.0}) == 1.0);
  CHECK(rank_p(5.0, {1.0, NAN, 3.0}) == 0.5);
}

TEST_CASE("p of .05 is possible with 20m - 1 controls, and with none fewer") {
  for (const int64_t m : {1, 2, 7}) {
    const auto smallest = [](int64_t controls) {
      return rank_p(1.0, std::vector<double>(static_cast<size_t>(controls), 0.0));
    };
    CHECK(smallest(controls_needed(m)) <= 0.05 / static_cast<double>(m));
    CHECK(smallest(controls_needed(m) - 1) > 0.05 / static_cast<double>(m));
  }
}

TEST_CASE("a thing that is like its controls has p of .05 or less in one of twenty cases") {
  constexpr int64_t kCases = 4000, kControls = 19;
  const auto drawn = at::randn({kCases, kControls + 1}, make_generator(at::kCPU, 1), at::kDouble);
  int64_t small = 0;
  for (int64_t i = 0; i < kCases; ++i) {
    const auto row = drawn[i].contiguous();
    const double* values = row.const_data_ptr<double>();
    small += rank_p(values[0], {values + 1, values + 1 + kControls}) <= 0.05;
  }
  const double error = std::sqrt(0.05 * 0.95 / kCases);
  CHECK(std::abs(static_cast<double>(small) / kCases - 0.05) < 4 * error);
}

TEST_CASE("what documents share does not widen the interval of a paired difference") {
  const auto tokens = at::full({8}, 100, at::kLong);
  const auto shared = at::randn({8}, make_generator(at::kCPU, 2), at::kDouble) * 1000;
  const auto found = test_beside(tokens, shared + 3.0, at::stack({shared, shared + 2.0}));
  CHECK(found.difference.mean == Approx(0.02));
  CHECK(found.difference.high - found.difference.low < 1e-10);
  CHECK(found.difference.documents == 8);
}

}  // namespace
}  // namespace bilens::beside_controls_test
