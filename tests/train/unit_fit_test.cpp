#include "bilens/train/unit_fit.h"

#include <ATen/ATen.h>

#include "bilens/nn/gated_product.h"
#include "catch.h"
#include "caught.h"

namespace bilens::unit_fit_test {
namespace {

double difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }
double number(const at::Tensor& tensor, int64_t place) { return tensor[place].item<double>(); }
at::Tensor doubles(at::IntArrayRef shape) { return at::randn(shape, at::kDouble); }

UnitSums sums_of(const at::Tensor& z, const at::Tensor& y, const at::Tensor& w, const Activation& f) {
  UnitSums sums(z.size(1), at::kCPU);
  sums.add(z, y, w, f);
  return sums;
}

UnitFit fit_of(const at::Tensor& z, const at::Tensor& y, const at::Tensor& w, const Activation& f,
               bool biases = true) {
  return fit_units(sums_of(z, y, w, f), biases, "z");
}

/// The weighted least-squares fit to t, at the tokens. @param columns [n, p], t [n]
at::Tensor least_squares(const at::Tensor& columns, const at::Tensor& t, const at::Tensor& w) {
  const auto root = w.sqrt().unsqueeze(1);
  return columns.mv(std::get<0>(at::linalg_lstsq(columns * root, t.unsqueeze(1) * root)).squeeze(1));
}

at::Tensor swish(const at::Tensor& z) { return z * z.sigmoid(); }

/// z and y that are correlated, and neither around 0, [200, 3], and weights.
struct Tokens {
  at::Tensor z, y, w, t;
};
Tokens correlated(uint64_t seed) {
  at::manual_seed(seed);
  const auto z = doubles({200, 3}) * 2 + 0.5, y = 0.7 * z + doubles({200, 3}) - 0.3;
  return {z, y, at::rand({200}, at::kDouble), swish(z) * y};
}

TEST_CASE("a unit's product is fitted by zy, y, z², z and 1, as weighted least squares does") {
  const auto [z, y, w, t] = correlated(1);
  const auto fit = fit_of(z, y, w, Gate::kSilu);
  const auto found = fit.units.products(z, y);
  at::Tensor left = at::zeros({}, at::kDouble), total = left.clone();
  for (int64_t j = 0; j < 3; ++j) {
    const auto zj = z.select(1, j), yj = y.select(1, j), tj = t.select(1, j);
    const auto expected = least_squares(at::stack({zj * yj, yj, zj * zj, zj, at::ones_like(zj)}, 1), tj, w);
    // 200 roundings in a 5×5 system with a condition below 1e3.
    CHECK(difference(found.select(1, j), expected) < 1e-11 * tj.abs().max().item<double>());
    left += (w * (tj - expected).square()).sum();
    total += (w * (tj - (w * tj).sum() / w.sum()).square()).sum();
  }
  CHECK(fit.r2 == Approx(1 - (left / total).item<double>()).epsilon(1e-10));
  CHECK(fit.degenerate.sum().item<int64_t>() == 0);
  // Correlated factors: the terms in z² and z catch what a line for f cannot.
  const auto lines = (fit.slope * z + fit.offset) * y;
  CHECK((w.unsqueeze(1) * (t - found).square()).sum().item<double>() <
        0.8 * (w.unsqueeze(1) * (t - lines).square()).sum().item<double>());
}

TEST_CASE("without biases a unit's product is fitted by zy and z²") {
  const auto [z, y, w, t] = correlated(2);
  const auto fit = fit_of(z, y, w, Gate::kSilu, false);
  const auto found = fit.units.products(z, y);
  for (int64_t j = 0; j < 3; ++j) {
    const auto zj = z.select(1, j), tj = t.select(1, j);
    const auto expected = least_squares(at::stack({zj * y.select(1, j), zj * zj}, 1), tj, w);
    CHECK(difference(found.select(1, j), expected) < 1e-11 * tj.abs().max().item<double>());
  }
  for (const auto& bias : {fit.units.gate_shift, fit.units.up_shift, fit.units.constant, fit.offset})
    CHECK(bias.abs().max().item<double>() == 0.0);
}

TEST_CASE("lines of units are least squares weighted by the other factor squared") {
  const auto [z, y, w, t] = correlated(3);
  const auto with = fit_of(z, y, w, Gate::kSilu), without = fit_of(z, y, w, Gate::kSilu, false);
  const auto f = swish(z);
  at::Tensor left = at::zeros({}, at::kDouble), total = left.clone();
  for (int64_t j = 0; j < 3; ++j) {
    const auto root = (y.select(1, j).square() * w).sqrt(), zj = z.select(1, j), fj = f.select(1, j);
    const auto ones = at::ones_like(zj);
    const auto solve = [&](const at::Tensor& columns) {
      return std::get<0>(at::linalg_lstsq(columns * root.unsqueeze(1), (fj * root).unsqueeze(1)));
    };
    const auto line = solve(at::stack({zj, ones}, 1)), ray = solve(zj.unsqueeze(1));
    // 200 roundings of sums in a well-conditioned 2×2 system.
    CHECK(number(with.slope, j) == Approx(line[0].item<double>()).epsilon(1e-12));
    CHECK(number(with.offset, j) == Approx(line[1].item<double>()).epsilon(1e-11));
    CHECK(number(without.slope, j) == Approx(ray[0].item<double>()).epsilon(1e-12));
    const auto mean = (root.square() * fj).sum() / root.square().sum();
    left += (root * (fj - line[0] * zj - line[1])).square().sum();
    total += (root * (fj - mean)).square().sum();
  }
  CHECK(with.line_r2 == Approx(1 - (left / total).item<double>()).epsilon(1e-10));
  CHECK(with.line_r2 > without.line_r2);
}

TEST_CASE("a gate that is affine where the data lie is recovered exactly, however far from 0") {
  at::manual_seed(4);
  // ReLU is the identity on z > 0, and zσ(0) = z/2.
  const double far = GENERATE(0.0, 1e4);
  const auto z = at::rand({100, 4}, at::kDouble) + 0.1 + far, y = doubles({100, 4}),
             w = at::ones({100}, at::kDouble);
  for (const auto& [gate, slope] :
       {std::pair<Activation, double>{Gate::kRelu, 1.0}, {{Gate::kSilu, 0.0}, 0.5}}) {
    const auto fit = fit_of(z, y, w, gate);
    const double size = (z * y).abs().max().item<double>();
    // z is known to eps far of its spread.
    CHECK(difference(fit.units.products(z, y), slope * z * y) < (far + 1) * 1e-11 * size);
    CHECK(difference(fit.slope, at::full({4}, slope, at::kDouble)) < 1e-11 * (far + 1));
    CHECK(fit.r2 == Approx(1.0).epsilon(1e-9));
    // f varies by 1e-9 of its square there, in which sums are rounded.
    CHECK(fit.line_r2 == Approx(1.0).epsilon(far == 0 ? 1e-9 : 1e-6));
  }
}

TEST_CASE("where the best unit is nearly a parabola, the shift of its gate stops at the bound") {
  at::manual_seed(5);
  // Around the least value of SiLU f has no slope: f(z)y is nearly by.
  const auto z = 0.05 * doubles({400, 2}) - 1.27846, y = doubles({400, 2}), w = at::ones({400}, at::kDouble);
  const auto fit = fit_of(z, y, w, Gate::kSilu);
  const auto found = fit.units.products(z, y);
  for (int64_t j = 0; j < 2; ++j) {
    const auto zj = z.select(1, j), yj = y.select(1, j), tj = (swish(z) * y).select(1, j);
    const double most = 8 * std::sqrt(zj.square().mean().item<double>());
    CHECK(std::abs(number(fit.units.gate_shift, j)) == Approx(most).epsilon(1e-12));
    const auto error = [&](const at::Tensor& t) { return (t - tj).square().sum().item<double>(); };
    double least = 1e30;
    for (int i = -40; i <= 40; ++i) {
      const auto shifted = zj + i * most / 40;
      least = std::min(
          least, error(least_squares(at::stack({shifted * yj, zj * zj, zj, at::ones_like(zj)}, 1), tj, w)));
    }
    CHECK(error(found.select(1, j)) <= least * (1 + 1e-8));
  }
}

TEST_CASE("sums of parts are those of the whole, float32 activations included") {
  at::manual_seed(6);
  const auto z = at::randn({300, 5}), y = at::randn({300, 5}), w = at::rand({300});
  UnitSums parts(5, at::kCPU);
  for (int64_t begin = 0; begin < 300; begin += 70) {
    const auto rows = [&](const at::Tensor& all) {
      return all.slice(0, begin, std::min<int64_t>(begin + 70, 300));
    };
    parts.add(rows(z), rows(y), rows(w), Gate::kSilu);
  }
  const auto whole = fit_of(z, y, w, Gate::kSilu), added = fit_units(parts, true, "z");
  const auto exact_z = z.to(at::kDouble), exact_y = y.to(at::kDouble);
  CHECK(difference(whole.units.products(exact_z, exact_y), added.units.products(exact_z, exact_y)) < 1e-11);
  CHECK(difference(whole.slope, added.slope) < 1e-12);
}

TEST_CASE("units that the data say nothing of get one half, and are counted") {
  at::manual_seed(7);
  auto z = doubles({50, 3}), y = doubles({50, 3});
  z.select(1, 0).fill_(1.5);  // does not vary
  y.select(1, 1).zero_();
  for (const bool biases : {true, false}) {
    const auto fit = fit_of(z, y, at::ones({50}, at::kDouble), Gate::kSilu, biases);
    CHECK(number(fit.slope, 1) == 0.5);
    CHECK(number(fit.units.up_scale, 1) == 0.5);
    // Without biases one z determines the product.
    CHECK(fit.degenerate[0].item<int64_t>() == (biases ? 1 : 0));
    CHECK(fit.degenerate[1].item<int64_t>() == 1);
    CHECK(fit.degenerate[2].item<int64_t>() == 0);
    const auto lost = fit.degenerate.to(at::kBool);
    CHECK(difference(fit.units.products(z, y).masked_select(lost), (0.5 * z * y).masked_select(lost)) == 0.0);
    CHECK(std::isfinite(fit.r2));
  }
}

TEST_CASE("a unit whose factors are one and the same is fitted as well as any") {
  at::manual_seed(8);
  const auto z = doubles({100, 1}), w = at::ones({100}, at::kDouble);
  const auto fit = fit_of(z, z, w, Gate::kSilu);  // zy is z², and y is z
  const auto t = swish(z) * z, zj = z.squeeze(1);
  const auto expected = least_squares(at::stack({zj * zj, zj, at::ones_like(zj)}, 1), t.squeeze(1), w);
  CHECK(difference(fit.units.products(z, z).squeeze(1), expected) < 1e-10);
  CHECK(fit.degenerate.sum().item<int64_t>() == 0);
}

TEST_CASE("R squared is not a number where nothing varies, and sums that are not finite are refused") {
  at::manual_seed(9);
  const auto y = doubles({50, 2}), w = at::ones({50}, at::kDouble);
  const auto off = fit_of(doubles({50, 2}).abs().neg(), y, w, Gate::kRelu);  // all 0
  CHECK(std::isnan(off.r2));
  CHECK(std::isnan(off.line_r2));
  CHECK(std::isnan(fit_of(doubles({50, 2}), at::zeros_like(y), w, Gate::kSilu).r2));
  CHECK(std::isnan(fit_of(at::full({50, 2}, 1.5, at::kDouble), y, w, Gate::kSilu).line_r2));
  // One unit that varies is enough.
  auto z = at::full({50, 2}, 1.5, at::kDouble);
  z.select(1, 0).copy_(doubles({50}));
  CHECK(std::isfinite(fit_of(z, y, w, Gate::kSilu).line_r2));
  z[3][1] = NAN;
  const auto error = test::caught([&] { fit_of(z, y, w, Gate::kSilu); });
  CHECK(error.code() == ExitCode::kBadInput);
}

}  // namespace
}  // namespace bilens::unit_fit_test
