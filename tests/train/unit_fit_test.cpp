#include "bilens/train/unit_fit.h"

#include <ATen/ATen.h>

#include "bilens/nn/gated_product.h"
#include "catch.h"

namespace bilens::unit_fit_test {
namespace {

double difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }
at::Tensor doubles(at::IntArrayRef shape) { return at::randn(shape, at::kDouble); }

UnitSums sums_of(const at::Tensor& z, const at::Tensor& v, const at::Tensor& w, const Activation& f) {
  UnitSums sums(z.size(1), at::kCPU);
  sums.add(z, v, w, f);
  return sums;
}

TEST_CASE("lines of units are weighted least squares, with and without an offset") {
  at::manual_seed(1);
  const auto z = doubles({200, 3}) * 2 + 0.5, v = doubles({200, 3}), w = at::rand({200}, at::kDouble);
  const auto sums = sums_of(z, v, w, Gate::kSilu);
  const auto with = fit_units(sums, true), without = fit_units(sums, false);
  const auto f = z * z.sigmoid();
  at::Tensor left = at::zeros({}, at::kDouble), total = left.clone();
  for (int64_t j = 0; j < 3; ++j) {
    const auto root = (v.select(1, j).square() * w).sqrt(), zj = z.select(1, j), fj = f.select(1, j);
    const auto ones = at::ones_like(zj);
    const auto solve = [&](const at::Tensor& columns) {
      return std::get<0>(at::linalg_lstsq(columns * root.unsqueeze(1), (fj * root).unsqueeze(1)));
    };
    const auto line = solve(at::stack({zj, ones}, 1)), ray = solve(zj.unsqueeze(1));
    // 200 roundings of sums in a well-conditioned 2×2 system.
    CHECK(with.slope[j].item<double>() == Approx(line[0].item<double>()).epsilon(1e-12));
    CHECK(with.offset[j].item<double>() == Approx(line[1].item<double>()).epsilon(1e-12));
    CHECK(without.slope[j].item<double>() == Approx(ray[0].item<double>()).epsilon(1e-12));
    const auto mean = (root.square() * fj).sum() / root.square().sum();
    left += (root * (fj - line[0] * zj - line[1])).square().sum();
    total += (root * (fj - mean)).square().sum();
  }
  CHECK(without.offset.abs().max().item<double>() == 0.0);
  CHECK(with.r2 == Approx(1 - (left / total).item<double>()).epsilon(1e-10));
  CHECK(with.r2 > without.r2);
  CHECK(with.degenerate.sum().item<int64_t>() == 0);
}

TEST_CASE("a gate that is affine where the data lie is recovered exactly") {
  at::manual_seed(2);
  // ReLU is the identity on z > 0: slope 1, offset 0. And zσ(0) = z/2.
  const auto z = at::rand({100, 4}, at::kDouble) + 0.1, v = doubles({100, 4}),
             w = at::ones({100}, at::kDouble);
  const auto relu = fit_units(sums_of(z, v, w, Gate::kRelu), true);
  CHECK(difference(relu.slope, at::ones({4}, at::kDouble)) < 1e-12);
  CHECK(difference(relu.offset, at::zeros({4}, at::kDouble)) < 1e-12);
  CHECK(relu.r2 == Approx(1.0).epsilon(1e-12));
  const auto half = fit_units(sums_of(z, v, w, {Gate::kSilu, 0.0}), true);
  CHECK(difference(half.slope, at::full({4}, 0.5, at::kDouble)) < 1e-12);
  CHECK(difference(half.offset, at::zeros({4}, at::kDouble)) < 1e-12);
}

TEST_CASE("sums of parts are those of the whole, float32 activations included") {
  at::manual_seed(3);
  const auto z = at::randn({300, 5}), v = at::randn({300, 5}), w = at::rand({300});
  const auto whole = sums_of(z, v, w, Gate::kSilu);
  UnitSums parts(5, at::kCPU);
  for (int64_t begin = 0; begin < 300; begin += 70) {
    const auto rows = [&](const at::Tensor& all) {
      return all.slice(0, begin, std::min<int64_t>(begin + 70, 300));
    };
    parts.add(rows(z), rows(v), rows(w), Gate::kSilu);
  }
  const auto a = fit_units(whole, true), b = fit_units(parts, true);
  CHECK(difference(a.slope, b.slope) < 1e-12);
  CHECK(difference(a.offset, b.offset) < 1e-12);
}

TEST_CASE("units that the data say nothing of get one half, and are counted") {
  at::manual_seed(4);
  auto z = doubles({50, 3}), v = doubles({50, 3});
  z.select(1, 0).fill_(1.5);  // does not vary
  v.select(1, 1).zero_();     // no weight
  for (const bool with_offset : {true, false}) {
    const auto fit = fit_units(sums_of(z, v, at::ones({50}, at::kDouble), Gate::kSilu), with_offset);
    CHECK(fit.slope[1].item<double>() == 0.5);
    CHECK(fit.offset.slice(0, 0, 2).abs().max().item<double>() == 0.0);
    CHECK(fit.degenerate[1].item<int64_t>() == 1);
    // A ray through the origin is determined by one z.
    CHECK(fit.degenerate[0].item<int64_t>() == (with_offset ? 1 : 0));
    CHECK(fit.degenerate[2].item<int64_t>() == 0);
    CHECK(std::isfinite(fit.r2));
  }
}

TEST_CASE("R squared of lines is not a number where no unit's activation varies") {
  at::manual_seed(5);
  const auto v = doubles({50, 2}), w = at::ones({50}, at::kDouble);
  CHECK(std::isnan(fit_units(sums_of(at::full({50, 2}, 1.5, at::kDouble), v, w, Gate::kSilu), true).r2));
  CHECK(std::isnan(fit_units(sums_of(doubles({50, 2}).abs().neg(), v, w, Gate::kRelu), true).r2));  // all 0
  CHECK(std::isnan(fit_units(sums_of(doubles({50, 2}), at::zeros_like(v), w, Gate::kSilu), true).r2));
  // One unit that varies is enough.
  auto z = at::full({50, 2}, 1.5, at::kDouble);
  z.select(1, 0).copy_(doubles({50}));
  CHECK(std::isfinite(fit_units(sums_of(z, v, w, Gate::kSilu), true).r2));
}

}  // namespace
}  // namespace bilens::unit_fit_test
