#include "bilens/analysis/eigen/factor_error.h"

#include <ATen/ATen.h>

#include <limits>

#include "catch.h"
#include "layers.h"

namespace bilens::factor_error_test {

using namespace bilens::test;

namespace {

at::Tensor lower_factor(int64_t d, uint64_t seed) {
  return random_tensor({d, d}, seed).tril() + at::eye(d, at::kDouble) * 8;
}

double spectral_norm(const at::Tensor& a) { return at::linalg_matrix_norm(a, 2).item<double>(); }

}  // namespace

TEST_CASE("a right factor's error is bounded by rounding alone") {
  for (const int64_t d : {1, 255, 256, 257, 600}) {
    const auto l = lower_factor(d, 91);
    const auto a = l.mm(l.t());
    INFO("d " << d);
    const double bound = factor_error(a, std::get<0>(at::linalg_cholesky_ex(a)));
    CHECK(bound > 0);
    CHECK(bound < 8 * higham_gamma(static_cast<double>(d + 1)) * a.trace().item<double>());
  }
}

TEST_CASE("a wrong factor's error is bounded from above, wherever it is wrong, and not much too high") {
  const int64_t d = 520;  // two blocks and a part of one
  const auto l = lower_factor(d, 92);
  const auto a = l.mm(l.t());
  for (const auto& [row, column] : {std::pair{0, 0}, {300, 10}, {519, 0}, {519, 519}, {270, 260}}) {
    auto wrong = l.clone();
    wrong[row][column] += 1e-3;
    const double truth = spectral_norm(a - wrong.mm(wrong.t())), bound = factor_error(a, wrong);
    INFO("entry " << row << ", " << column);
    CHECK(bound >= truth);
    CHECK(bound < 1.5 * truth);  // the Frobenius norm of a matrix of rank 2
  }
  auto broken = l.clone();
  broken[400][3] = std::numeric_limits<double>::quiet_NaN();
  CHECK_FALSE(factor_error(a, broken) < 1e300);
}

TEST_CASE("the upper half of A does not count below its blocks") {
  const auto l = lower_factor(300, 93);
  auto a = l.mm(l.t());
  a[0][299] = 1e6;
  CHECK(factor_error(a, l) < 1e-3);
}

}  // namespace bilens::factor_error_test
