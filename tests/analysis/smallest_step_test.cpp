#include "bilens/analysis/forms/smallest_step.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "bilens/tensor/random.h"
#include "catch.h"

namespace bilens::smallest_step_test {
namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();

double norm(const std::vector<double>& step) {
  double squares = 0;
  for (const double part : step) squares += part * part;
  return std::sqrt(squares);
}

double value_at(double g, const std::vector<double>& b, const std::vector<double>& lambda,
                const std::vector<double>& step) {
  for (size_t i = 0; i < b.size(); ++i) g += step[i] * (2 * b[i] + lambda[i] * step[i]);
  return g;
}

SmallestStep solve(double g, const std::vector<double>& b, const std::vector<double>& lambda) {
  return smallest_step({g, b.data(), lambda.data(), static_cast<int64_t>(b.size())});
}

/// The smallest t along a direction at which the quadratic is 0; ∞ where it stays positive.
double along(double g, double slope, double curvature) {
  const double root = slope * slope - g * curvature;
  if (curvature == 0) return slope < 0 ? -g / (2 * slope) : INFINITY;
  if (root < 0) return INFINITY;
  double least = INFINITY;
  for (const double sign : {-1.0, 1.0}) {
    const double t = (-slope + sign * std::sqrt(root)) / curvature;
    if (t > 0) least = std::min(least, t);
  }
  return least;
}

/// The same in two dimensions, by looking in every direction.
double scan(double g, const std::vector<double>& b, const std::vector<double>& lambda) {
  constexpr int kDirections = 200000;
  double least = INFINITY;
  for (int i = 0; i < kDirections; ++i) {
    const double angle = 2 * M_PI * i / kDirections, x = std::cos(angle), y = std::sin(angle);
    least = std::min(least, along(g, b[0] * x + b[1] * y, lambda[0] * x * x + lambda[1] * y * y));
  }
  return least;
}

TEST_CASE("a linear function is left along its gradient") {
  const auto found = solve(6.0, {3.0, 0.0, 4.0}, {0.0, 0.0, 0.0});
  CHECK(norm(found.step) == Approx(0.6).epsilon(1e-14));  // g / (2‖b‖)
  CHECK(found.lower == Approx(0.6).epsilon(1e-13));
  CHECK(found.step[0] < 0);
}

TEST_CASE("no direction has a shorter step than the one found") {
  const auto generator = make_generator(at::kCPU, 1);
  for (int i = 0; i < 40; ++i) {
    const auto drawn = at::randn({5}, generator, at::kDouble).contiguous();
    const auto* d = drawn.const_data_ptr<double>();
    const std::vector<double> b = {d[0], d[1]};
    const std::vector<double> lambda = {std::min(d[2], d[3]), std::max(d[2], d[3])};
    const double g = std::abs(d[4]), least = scan(g, b, lambda);
    const auto found = solve(g, b, lambda);
    INFO("case " << i);
    CHECK(found.step.empty() == std::isinf(least));
    if (found.step.empty()) continue;
    // The scan's directions are 3e-5 apart, so that its step is longer by about the square of that.
    CHECK(norm(found.step) <= least * (1 + 1e-12));
    CHECK(norm(found.step) == Approx(least).epsilon(1e-6));
    CHECK(std::abs(value_at(g, b, lambda, found.step)) < 1e-10 * (1 + g));
  }
}

TEST_CASE("the bound is below the step and within rounding of it") {
  const auto generator = make_generator(at::kCPU, 2);
  for (int i = 0; i < 50; ++i) {
    const auto values = std::get<0>(at::randn({60}, generator, at::kDouble).sort());
    const auto slopes = at::randn({60}, generator, at::kDouble);
    const std::vector<double> lambda(values.const_data_ptr<double>(), values.const_data_ptr<double>() + 60);
    const std::vector<double> b(slopes.const_data_ptr<double>(), slopes.const_data_ptr<double>() + 60);
    const auto found = solve(3.0, b, lambda);
    CHECK(found.lower <= norm(found.step));
    CHECK(found.lower > norm(found.step) * (1 - 1e-12));
  }
}

TEST_CASE("errors of the figures come off the bound") {
  const std::vector<double> b = {1.0, -0.5}, lambda = {-0.5, 1.0};
  StepQuadratic quadratic{2.0, b.data(), lambda.data(), 2};
  quadratic.value_error = 1e-3, quadratic.slope_error = 1e-3, quadratic.curvature_error = 1e-3;
  const double lower = smallest_step(quadratic).lower;
  // Every quadratic within these errors keeps to the bound; one at their edge comes near.
  const double worst = norm(solve(2.0 - 1e-3, {1.0 + 1e-3, -0.5}, {-0.5 - 1e-3, 1.0 - 1e-3}).step);
  CHECK(lower < worst);
  CHECK(lower > worst * (1 - 5e-3));
}

TEST_CASE("the hard case takes the rest along the most curved direction") {
  // b has no part along λ_min, and 1 + 2(0.1 δ) + ... stays positive up to the last multiplier.
  const std::vector<double> b = {0.0, 0.1}, lambda = {-1.0, 1.0};
  const auto found = solve(1.0, b, lambda);
  CHECK(norm(found.step) == Approx(scan(1.0, b, lambda)).epsilon(1e-8));
  CHECK(found.lower <= norm(found.step));
  CHECK(found.lower == Approx(norm(found.step)).epsilon(1e-6));
  const auto only = solve(4.0, {0.0}, {-1.0});
  CHECK(norm(only.step) == Approx(2.0).epsilon(1e-12));
}

TEST_CASE("a form that stays positive is never left, as far as its curvature is known") {
  const std::vector<double> b = {0.1}, lambda = {1.0};
  const auto found = solve(1.0, b, lambda);
  CHECK(found.step.empty());
  CHECK(std::isinf(found.lower));
  StepQuadratic doubtful{1.0, b.data(), lambda.data(), 1};
  doubtful.curvature_error = 1e-6;
  const auto bounded = smallest_step(doubtful);
  CHECK(bounded.step.empty());
  CHECK(std::isfinite(bounded.lower));
  CHECK(bounded.lower > 100);
}

TEST_CASE("errors of the figures come off the bound in the hard case and without a step, too") {
  const std::vector<double> none = {0.0, 0.0}, flat = {-1e-9, 1.0};
  StepQuadratic hard{1.0, none.data(), flat.data(), 2};
  hard.curvature_error = 1e-8;  // a curvature of −1.1e-8 is within it
  const double shortest = 1 / std::sqrt(1.1e-8);
  CHECK(smallest_step(hard).lower <= shortest);
  CHECK(smallest_step(hard).lower > 0.9 * shortest);
  const std::vector<double> b = {0.9486833}, one = {1.0};
  StepQuadratic doubtful{1.0, b.data(), one.data(), 1};
  doubtful.curvature_error = 1.0;  // without curvature the step is 1/(2b)
  CHECK(smallest_step(doubtful).lower <= 1 / (2 * 0.9486833));
  CHECK(smallest_step(doubtful).lower > 0.9 / (2 * 0.9486833));
}

TEST_CASE("where the quadratic is 0 already, no step is needed") {
  const auto found = solve(0.0, {1.0}, {1.0});
  CHECK(found.lower == 0);
  CHECK(norm(found.step) == 0);
}

TEST_CASE("a step near the last multiplier is found as exactly") {
  // Along λ_min nearly nothing: the root is within 1e-9 of −1/λ_min.
  const std::vector<double> b = {1e-9, 0.1}, lambda = {-1.0, 1.0};
  const auto found = solve(1.0, b, lambda);
  CHECK(norm(found.step) == Approx(scan(1.0, b, lambda)).epsilon(1e-6));
  CHECK(std::abs(value_at(1.0, b, lambda, found.step)) < 1e-6);
  CHECK(found.lower <= norm(found.step) * (1 + 4 * kEps));
}

}  // namespace
}  // namespace bilens::smallest_step_test
