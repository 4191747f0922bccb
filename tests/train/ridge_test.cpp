#include "bilens/train/ridge.h"

#include <ATen/ATen.h>

#include "caught.h"

namespace bilens::ridge_test {
namespace {

double difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }
at::Tensor doubles(at::IntArrayRef shape) { return at::randn(shape, at::kDouble); }
at::Tensor ones(int64_t n) { return at::ones({n}, at::kDouble); }

LeastSquaresSums sums_of(const at::Tensor& h, const at::Tensor& t, const at::Tensor& w) {
  LeastSquaresSums sums(h.size(1), t.size(1), at::kCPU);
  sums.add(h, t, w);
  return sums;
}

TEST_CASE("a planted matrix comes back from targets without noise") {
  at::manual_seed(1);
  const auto planted = doubles({4, 12}), h = doubles({300, 12}), other = doubles({50, 12});
  const auto train = sums_of(h, h.mm(planted.t()), ones(300));
  const auto held_back = sums_of(other, other.mm(planted.t()), ones(50));
  const auto exact = fit_ridge(train, held_back, at::zeros({4, 12}), "layer", {1e-14});
  CHECK(difference(exact.matrix, planted) < 1e-8);
  const auto fit = fit_ridge(train, held_back, at::zeros({4, 12}), "layer");
  CHECK(difference(fit.matrix, planted) < 1e-6);  // some times the ridge
  CHECK(fit.ridge == 1e-8);
  CHECK(fit.error_before == Approx(1.0));
  CHECK(std::abs(fit.error) < 1e-12);  // a difference of sums of order 1
}

TEST_CASE("one ridge solves its normal equations, from weighted rows, whatever their parts") {
  at::manual_seed(2);
  const auto h = doubles({90, 7}), t = doubles({90, 3}), start = doubles({3, 7}),
             w = at::rand({90}, at::kDouble);
  const auto whole = sums_of(h, t, w);
  LeastSquaresSums parts(7, 3, at::kCPU);
  for (int64_t begin = 0; begin < 90; begin += 40) {
    const int64_t end = std::min<int64_t>(begin + 40, 90);
    parts.add(h.slice(0, begin, end), t.slice(0, begin, end), w.slice(0, begin, end));
  }
  CHECK(difference(whole.hh, parts.hh) < 1e-12);
  CHECK(difference(whole.th, parts.th) < 1e-12);
  CHECK(whole.tt == Approx(parts.tt).epsilon(1e-12));

  const auto fit = fit_ridge(whole, whole, start, "layer", {0.1});
  const auto root = w.sqrt().unsqueeze(1), hw = h * root, tw = t * root;
  const auto gram = hw.t().mm(hw);
  const double rho = 0.1 * gram.diagonal().mean().item<double>();
  const auto system = gram + rho * at::eye(7, at::kDouble);
  const auto expected = at::linalg_solve(system, (tw.t().mm(hw) + rho * start).t()).t();
  CHECK(difference(fit.matrix, expected) < 1e-12);
  CHECK(
      fit.error ==
      Approx(((tw - hw.mm(expected.t())).square().sum() / tw.square().sum()).item<double>()).epsilon(1e-12));
}

TEST_CASE("few noisy rows take a large ridge, many take a small one") {
  at::manual_seed(3);
  const auto planted = doubles({5, 40}), start = planted + 0.1 * doubles({5, 40});
  const auto rows = [&](int64_t n, double noise) {
    const auto h = doubles({n, 40});
    return sums_of(h, h.mm(planted.t()) + noise * doubles({n, 5}), ones(n));
  };
  const auto held_back = rows(2000, 0.0);
  const auto few = fit_ridge(rows(50, 5.0), held_back, start, "layer");
  const auto many = fit_ridge(rows(20000, 0.01), held_back, start, "layer");
  CHECK(few.ridge >= 0.1);
  CHECK(many.ridge <= 1e-3);
  CHECK(many.error < 0.01 * many.error_before);
  CHECK(few.error <= few.error_before);
  const auto seen = rows(50, 5.0);
  const auto greedy = fit_ridge(seen, seen, start, "layer", {1e-12});  // held back is what it was fitted to
  CHECK(few.error < held_back.relative_error(greedy.matrix));
}

TEST_CASE("a fit that only makes matters worse is not taken") {
  at::manual_seed(5);
  const auto planted = doubles({3, 20}), h = doubles({25, 20}), other = doubles({500, 20});
  const auto noise =
      sums_of(h, doubles({25, 3}), ones(25));  // targets that have nothing to do with the features
  const auto held_back = sums_of(other, other.mm(planted.t()), ones(500));
  const auto fit = fit_ridge(noise, held_back, planted, "layer");
  CHECK(at::equal(fit.matrix, planted));
  CHECK(fit.ridge == std::numeric_limits<double>::infinity());
  CHECK(fit.error == fit.error_before);
}

TEST_CASE("hidden units that are never active keep their weights; sums that are not finite are refused") {
  at::manual_seed(4);
  auto h = doubles({60, 5});
  h.select(1, 2).zero_();
  const auto t = doubles({60, 2}), start = doubles({2, 5});
  const auto sums = sums_of(h, t, ones(60));
  // Roundings of sums of 60 terms of order 1, over the smallest ridge.
  CHECK(difference(fit_ridge(sums, sums, start, "layer").matrix.select(1, 2), start.select(1, 2)) <
        60 * 2.2e-16 / 1e-8);
  const auto silent = sums_of(at::zeros({60, 5}, at::kDouble), t, ones(60));
  CHECK(at::equal(fit_ridge(silent, silent, start, "layer").matrix, start));
  h[0][0] = NAN;
  const auto broken = sums_of(h, t, ones(60));
  const auto error = test::caught([&] { fit_ridge(broken, sums, start, "layer 3"); });
  CHECK(error.code() == ExitCode::kBadInput);
  CHECK(test::contains(error.what(), "layer 3"));
}

}  // namespace
}  // namespace bilens::ridge_test
