#include "bilens/train/small_least_squares.h"

#include <ATen/ATen.h>

#include "catch.h"

namespace bilens::small_least_squares_test {
namespace {

double difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

/// [n, rows, p] → [n, p, p]
at::Tensor grams(const at::Tensor& columns) { return columns.transpose(1, 2).matmul(columns); }

TEST_CASE("planted coefficients come back, with a constant and without, at any sizes of the features") {
  at::manual_seed(1);
  const auto sizes = at::tensor({1e-20, 1.0, 1e12}, at::kDouble);
  const auto x = at::randn({4, 60, 3}, at::kDouble) * sizes, ones = at::ones({4, 60, 1}, at::kDouble);
  const auto planted = at::randn({4, 4}, at::kDouble);
  const auto t = (x * (planted.narrow(1, 0, 3) / sizes).unsqueeze(1)).sum(2, true);
  const auto without = fit_grams(grams(at::cat({x, t}, 2)), false, "x");
  CHECK(difference(without.coefficients * sizes, planted.narrow(1, 0, 3)) < 1e-12);
  const auto constant = planted.narrow(1, 3, 1);
  const auto with = fit_grams(grams(at::cat({x, ones, t + constant.unsqueeze(1)}, 2)), true, "x");
  CHECK(difference(with.coefficients.narrow(1, 0, 3) * sizes, planted.narrow(1, 0, 3)) < 1e-12);
  CHECK(difference(with.coefficients.select(1, 3), constant.squeeze(1)) < 1e-12);
  // What is left is rounding of sums of 60 squares of order 1.
  CHECK(with.error.max().item<double>() < 1e-11);
}

TEST_CASE(
    "features that do not vary or that repeat others change nothing, and the error is that of the fit") {
  at::manual_seed(2);
  const auto x = at::randn({1, 50, 2}, at::kDouble), t = at::randn({1, 50, 1}, at::kDouble),
             ones = at::ones_like(t);
  const auto plain = fit_grams(grams(at::cat({x, ones, t}, 2)), true, "x");
  const auto columns = at::cat({x, ones}, 2)[0];
  const auto left = t[0] - columns.mm(std::get<0>(at::linalg_lstsq(columns, t[0])));
  CHECK(plain.error.item<double>() == Approx(left.square().sum().item<double>()).epsilon(1e-11));
  const auto more = at::cat({x, 0.3 * ones, x.narrow(2, 0, 1) + x.narrow(2, 1, 1), ones, t}, 2);
  const auto fit = fit_grams(grams(more), true, "x");
  CHECK(fit.error.item<double>() == Approx(plain.error.item<double>()).epsilon(1e-11));
  CHECK(fit.coefficients[0][2].item<double>() == 0.0);
  CHECK(fit.coefficients.isfinite().all().item<bool>());
  CHECK(fit.coefficients.abs().max().item<double>() < 1.0);  // not large ones that cancel
}

}  // namespace
}  // namespace bilens::small_least_squares_test
