#include "bilens/train/sign_flips.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "bilens/tensor/random.h"
#include "catch.h"

namespace bilens::sign_flips_test {
namespace {

double p_of(const std::vector<double>& sums) {
  return flip_signs(at::tensor(sums, at::kDouble).unsqueeze(0)).p[0];
}

/// By one flip after the other.
double slow_p(const std::vector<double>& sums) {
  const auto n = static_cast<int64_t>(sums.size());
  const auto size_of = [&](int64_t flip) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += (flip >> i & 1) != 0 ? -sums[i] : sums[i];
    return std::abs(sum);
  };
  int64_t as_large = 0;
  for (int64_t flip = 0; flip < int64_t{1} << n; ++flip) as_large += size_of(flip) >= size_of(0) - 1e-12;
  return static_cast<double>(as_large) / static_cast<double>(int64_t{1} << n);
}

std::vector<double> drawn(int64_t count, uint64_t seed, double shift) {
  const auto values = (at::randn({count}, make_generator(at::kCPU, seed), at::kDouble) + shift).contiguous();
  const double* first = values.const_data_ptr<double>();
  return {first, first + count};
}

TEST_CASE("p is the share of all sign flips, for up to 16 documents") {
  for (const int64_t n : {2, 3, 7, 16}) {
    const auto sums = drawn(n, static_cast<uint64_t>(n), 0.4);
    CHECK(p_of(sums) == Approx(slow_p(sums)).epsilon(1e-14));
  }
  CHECK(flip_signs(at::ones({1, 5}, at::kDouble)).flips == 32);
}

TEST_CASE("the smallest p is that of documents which all lie on one side") {
  for (const int64_t n : {2, 5, 12, 16}) {
    const std::vector<double> alike(static_cast<size_t>(n), 0.3);
    CHECK(p_of(alike) == std::ldexp(1.0, static_cast<int>(1 - n)));
    CHECK(smallest_flip_p(n) == p_of(alike));
  }
  CHECK(p_of({1.0, -1.0}) == 1.0);
  CHECK(p_of({0.0, 0.0, 0.0}) == 1.0);
  CHECK(p_of({0.1, 0.2, -0.3}) == 1.0);  // 0 up to rounding: every flip is as large
}

TEST_CASE("one document has no p") {
  const auto found = flip_signs(at::ones({2, 1}, at::kDouble));
  CHECK(std::isnan(found.p[0]));
  CHECK(found.p.size() == 2);
  CHECK(found.flips == 0);
  CHECK(std::isnan(smallest_flip_p(1)));
}

TEST_CASE("what is not a number is no difference") {
  CHECK(p_of({1.0, NAN, 1.0, 1.0}) == 1.0);
  CHECK(p_of(std::vector<double>(20, NAN)) == 1.0);
}

TEST_CASE("beyond 16 documents drawn flips come near to all of them") {
  const auto sums = drawn(18, 5, 0.3);
  const double exact = slow_p(sums), found = p_of(sums);
  const double error = std::sqrt(exact * (1 - exact) / 9999);
  CHECK(exact > 0.01);  // else few of the drawn ones would count
  CHECK(exact < 0.5);
  CHECK(std::abs(found - exact) < 4 * error);
  CHECK(p_of(sums) == found);
  CHECK(flip_signs(at::ones({1, 18}, at::kDouble)).flips == 9999);
  // All on one side: no drawn flip but by chance is as large.
  CHECK(p_of(std::vector<double>(40, 1.0)) == smallest_flip_p(40));
}

TEST_CASE("documents without a difference have p of .05 or less in at most one of twenty texts") {
  constexpr int64_t kTexts = 4000;
  const auto p = flip_signs(at::randn({kTexts, 9}, make_generator(at::kCPU, 3), at::kDouble)).p;
  const auto small = std::count_if(p.begin(), p.end(), [](double each) { return each <= 0.05; });
  // 12 of 256 flips are the most that are below .05.
  const double expected = 12.0 / 256, error = std::sqrt(expected * (1 - expected) / kTexts);
  CHECK(std::abs(static_cast<double>(small) / kTexts - expected) < 4 * error);
}

}  // namespace
}  // namespace bilens::sign_flips_test
