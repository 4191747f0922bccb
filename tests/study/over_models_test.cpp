#include "bilens/study/over_models.h"

#include <ATen/ATen.h>

#include <cmath>

#include "bilens/tensor/random.h"
#include "catch.h"

namespace bilens::over_models_test {
namespace {

TEST_CASE("three models: each model left out leaves one pair") {
  // Leaving out model 0, 1, 2 leaves .6, .5, .1: spread .14, error √(2/3 · .14), t of 2 degrees 4.302653.
  const auto found = over_pairs({0.1, 0.5, 0.6}, 3);
  CHECK(found.mean == Approx(0.4));
  CHECK(found.sd == Approx(std::sqrt(0.14 / 2)));
  CHECK(found.high - found.mean == Approx(4.302652729749464 * std::sqrt(2.0 / 3 * 0.14)));
  CHECK(found.mean - found.low == Approx(found.high - found.mean));
}

TEST_CASE("intervals over models hold the mean of pairs at least as often as they say") {
  // A pair's likeness is the sum of what each model brings, or besides that of the pair itself.
  for (const double of_pair : {0.0, 1.0}) {
    for (const int64_t models : {3, 5}) {
      constexpr int kDraws = 2000;
      const auto generator = make_generator(at::kCPU, static_cast<uint64_t>(models));
      int held = 0;
      for (int draw = 0; draw < kDraws; ++draw) {
        const auto own = at::randn({models}, generator, at::kDouble).contiguous();
        const auto both = at::randn({models, models}, generator, at::kDouble).contiguous();
        const auto a = own.accessor<double, 1>();
        const auto b = both.accessor<double, 2>();
        std::vector<double> pairs;
        for (int64_t i = 0; i < models; ++i)
          for (int64_t j = i + 1; j < models; ++j) pairs.push_back(a[i] + a[j] + of_pair * b[i][j]);
        const auto found = over_pairs(pairs, models);
        held += found.low <= 0 && 0 <= found.high;
      }
      CAPTURE(of_pair, models);
      const double error = std::sqrt(0.95 * 0.05 / kDraws), share = static_cast<double>(held) / kDraws;
      CHECK(share > 0.95 - 4 * error);
      if (of_pair == 0) CHECK(share < 0.95 + 4 * error);
    }
  }
}

TEST_CASE("figures that a pair lacks are stated of none") {
  Comparison pair;
  pair.weights.same_class = 0.5, pair.eigenvectors.same_class = 0.25;
  const auto found = over_models({pair, pair, pair}, 3);
  CHECK(found.pairs == 3);
  CHECK(found.weights.mean == 0.5);
  CHECK(found.eigenvectors.high == 0.25);
  CHECK_FALSE(found.data);
}

}  // namespace
}  // namespace bilens::over_models_test
