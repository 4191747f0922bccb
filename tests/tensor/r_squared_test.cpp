#include "bilens/tensor/r_squared.h"

#include <ATen/ATen.h>

#include <cmath>

#include "bilens/tensor/random.h"
#include "catch.h"

namespace bilens::r_squared_test {
namespace {

/// R² of a prediction that is off by `off` everywhere.
double of(const at::Tensor& target, double off, at::ScalarType dtype) {
  const auto spread = (target - target.mean()).square().sum();
  return r_squared(at::full_like(target, off).square().sum(), spread, target.square().sum(), dtype)
      .item<double>();
}

at::Tensor noise(double size) { return size * at::randn({1000}, make_generator(at::kCPU, 1), at::kDouble); }

TEST_CASE("R squared of what varies is one minus the share of the error") {
  const auto target = at::tensor({1.0, 2.0, 3.0}, at::kDouble);  // Σ(t − 2)² = 2
  CHECK(of(target, 0.0, at::kDouble) == 1.0);
  CHECK(of(target, 1.0, at::kDouble) == Approx(1 - 3.0 / 2));
  for (const double scale : {1e-30, 1e30}) CHECK(of(target * scale, scale, at::kFloat) == Approx(-0.5));
}

TEST_CASE("R squared of a constant is not a number, whatever is predicted") {
  for (const double value : {0.0, 1.0, -3e7, 1e-30}) {
    CAPTURE(value);
    const auto constant = at::full({1000}, value, at::kDouble);
    CHECK(std::isnan(of(constant, 0.0, at::kDouble)));
    CHECK(std::isnan(of(constant, 0.1, at::kDouble)));
    CHECK(std::isnan(of(constant, 0.1, at::kFloat)));
  }
  CHECK(std::isnan(of(at::ones({1}, at::kDouble), 0.5, at::kDouble)));
}

TEST_CASE("rounding of a constant does not make it vary, what is larger does") {
  for (const double value : {1.0, 1e6, 1e-20}) {
    CAPTURE(value);
    CHECK(std::isnan(of(value + noise(2e-16 * value), 0.0, at::kDouble)));
    CHECK(of(value + noise(1e-12 * value), 0.0, at::kDouble) == 1.0);
    CHECK(std::isnan(of(value + noise(1e-7 * value), 0.0, at::kFloat)));
    CHECK(of(value + noise(1e-4 * value), 0.0, at::kFloat) == 1.0);
  }
}

TEST_CASE("a sum whose terms cancel is judged by the size of the terms") {
  const auto left = noise(1e-7), spread = left.square().sum(), error = at::zeros({}, at::kDouble);
  CHECK(r_squared(error, spread, left.square().sum(), at::kFloat).item<double>() == 1.0);
  CHECK(std::isnan(r_squared(error, spread, at::full({}, 1000.0, at::kDouble), at::kFloat).item<double>()));
}

}  // namespace
}  // namespace bilens::r_squared_test
