#include "bilens/analysis/factors/weighted.h"

#include <ATen/ATen.h>

#include <cmath>

#include "bilens/analysis/forms/interaction.h"
#include "bilens/core/error.h"
#include "catch.h"
#include "layers.h"

namespace bilens::weighted_test {

using namespace bilens::test;

namespace {

constexpr double kEps = 2.220446049250313e-16;
constexpr int64_t kInputs = 6, kUnits = 9, kOutputs = 4;

/// Σ of a rank with variances of very different sizes, and μ.
InputMoments planted(int64_t rank, uint64_t seed) {
  const auto axes = std::get<0>(at::linalg_qr(random_tensor({kInputs, rank}, seed)));
  const auto deviations = at::logspace(0, -1.5, rank, 10.0, at::kDouble);
  const auto half = axes * deviations;
  return {1000, random_tensor({kInputs}, seed + 1), half.mm(half.t())};
}

BilinearLayer biased_layer(uint64_t seed) {
  auto layer = random_layer(kUnits, kInputs, kOutputs, true, seed);
  layer.gate_bias = random_tensor({kUnits}, seed + 50);
  layer.up_bias = random_tensor({kUnits}, seed + 51);
  layer.down_bias = random_tensor({kOutputs}, seed + 52);
  return layer;
}

InputWeighting weighting(const InputMoments& moments, bool fixed_length) {
  return {moments, reveal_rank(moments, kEps), fixed_length};
}

EigenConfig all_pairs() {
  EigenConfig config;
  config.k = kInputs;
  config.dtype = at::kDouble;
  config.certify = true;
  return config;
}

double largest(const at::Tensor& x) { return x.abs().max().item<double>(); }

/// The symmetric square root of Σ.
at::Tensor square_root(const at::Tensor& covariance) {
  const auto [values, vectors] = at::linalg_eigh(covariance);
  return (vectors * values.clamp_min(0).sqrt()).mm(vectors.t());
}

/// Σ_i κ_i((r_i·ξ)² − 1) and slope·ξ of each direction: [rows, n] each.
std::pair<at::Tensor, at::Tensor> parts(const WeightedFactors& found, const at::Tensor& xi) {
  const auto read = xi.mm(found.readings.flatten(0, 1).t()).unflatten(1, found.values.sizes());
  return {((read.square() - 1) * found.values).sum(2), xi.mm(found.slope.t())};
}

}  // namespace

TEST_CASE("weighted spectra are those of the whitened matrices, whatever the rank of the covariance") {
  const auto layer = biased_layer(1);
  const auto u = random_tensor({3, kOutputs}, 2);
  for (const int64_t rank : {kInputs, int64_t{4}, int64_t{1}}) {
    for (const bool fixed_length : {false, true}) {
      CAPTURE(rank, fixed_length);
      const auto moments = planted(rank, 3);
      const auto found =
          weigh_spectra({layer, {}, u}, weighting(moments, fixed_length), at::kCPU, all_pairs());
      CHECK(found.dimensions == rank);
      CHECK(found.cut < 1e-15);
      const auto root = square_root(moments.covariance);
      const auto q = slow_matrices(layer, u) + found.shift.view({3, 1, 1}) * at::eye(kInputs, at::kDouble);
      const auto s = root.matmul(q).matmul(root);
      auto expected = at::linalg_eigvalsh(s);
      const auto order = expected.abs().argsort(1, true).narrow(1, 0, rank);
      expected = expected.gather(1, order);
      // 50 roundings of numbers of this size: entries are sums of some 54 products, three times over.
      const double scale = largest(s), tolerance = 50 * kEps * scale;
      CHECK(largest(found.values.abs() - expected.abs()) < tolerance);
      // Readings are uncorrelated over the inputs and of variance 1; patterns are what goes with them.
      const auto& r = found.readings;
      const auto covariance = r.matmul(moments.covariance).matmul(r.mT());
      CHECK(largest(covariance - at::eye(rank, at::kDouble)) < 1e-11);  // of deviations 1 to .03: Σ⁻¹ is 1e3
      CHECK(largest(r.matmul(moments.covariance) - found.patterns) < 1e-12);
      CHECK(found.patterns.gather(2, found.patterns.abs().argmax(2, true)).gt(0).all().item<bool>());
      CHECK(largest(found.shares.sum(1) - 1) < 1e-12);
      CHECK(largest(found.quadratic_variance - 2 * s.square().sum({1, 2})) < 1e-12 * scale * scale);
      CHECK(found.certified == 3);
      CHECK(found.shift.ne(0).all().item<bool>() == fixed_length);
    }
  }
}

TEST_CASE("centre, linear part and all terms are the form, where inputs vary") {
  const auto layer = biased_layer(4);
  const auto embed = random_tensor({kInputs, 8}, 5);
  for (const int64_t rank : {kInputs, int64_t{3}}) {
    const auto moments = planted(rank, 6);
    const auto weights = weighting(moments, true);
    const auto found = weigh_spectra({layer, {}, {}}, weights, at::kCPU, all_pairs());
    const auto xi = random_tensor({20, rank}, 7).mm(weights.root.root.t()), x = moments.mean + xi;
    const auto [terms, linear] = parts(found, xi);
    // Q + cI adds c‖x‖², whose mean is c(tr Σ + ‖μ‖²).
    const auto mean = moments.covariance.trace() + moments.mean.square().sum();
    const auto length = x.square().sum(1, true) - mean;
    const auto rebuilt = found.centre + linear + terms - found.shift * length;
    CHECK(largest(rebuilt - layer.forward(x)) < 1e-11);
  }
  // Behind an embedding, and with a residual.
  auto square = random_layer(kUnits, kInputs, kInputs, true, 8);
  square.residual = true;
  const auto moments = InputMoments{10, random_tensor({8}, 9), random_tensor({8, 8}, 10)};
  const InputMoments whole = {10, moments.mean, moments.covariance.mm(moments.covariance.t())};
  auto config = all_pairs();
  config.k = 8;
  const auto found = weigh_spectra({square, embed, {}}, weighting(whole, false), at::kCPU, config);
  const auto xi = random_tensor({20, 8}, 11);
  const auto [terms, linear] = parts(found, xi);
  const auto expected = square.forward((whole.mean + xi).mm(embed.t()));
  CHECK(largest(found.centre + linear + terms - expected) < 1e-10 * largest(expected));
}

TEST_CASE("variances under a Gaussian are what draws of it have") {
  constexpr int64_t kDraws = 200000;
  const auto layer = biased_layer(12);
  const auto moments = planted(kInputs, 13);
  const auto weights = weighting(moments, false);
  const auto found = weigh_spectra({layer, {}, {}}, weights, at::kCPU, all_pairs());
  const auto xi = random_tensor({kDraws, kInputs}, 14).mm(weights.root.root.t());
  const auto values = layer.forward(moments.mean + xi);
  const auto [terms, linear] = parts(found, xi);
  const auto check = [&](const at::Tensor& drawn, const at::Tensor& expected) {
    const auto centred = drawn - drawn.mean(0);
    const auto variance = centred.square().mean(0);
    // The standard error of a variance: √((m₄ − σ⁴)/N).
    const auto error = ((centred.pow(4).mean(0) - variance.square()) / kDraws).sqrt();
    CHECK((variance - expected).abs().lt(4 * error).all().item<bool>());
    CHECK(error.lt(0.02 * expected).all().item<bool>());  // else the test could not fail
  };
  check(terms, found.quadratic_variance);
  check(linear, found.linear_variance);
  check(values, found.quadratic_variance + found.linear_variance);
  // The closed form of 2‖S‖² + 4μᵀQΣQμ, with the biases' l in the slope 2Qμ + l.
  const auto q = slow_matrices(layer, at::eye(kOutputs, at::kDouble));
  const auto slope = 2 * q.matmul(moments.mean) + InteractionOperator(layer, {}).linear();
  CHECK(largest((slope.mm(moments.covariance) * slope).sum(1) - found.linear_variance) < 1e-12);
}

TEST_CASE("the shift has the least variance, and is the trace's for isotropic inputs") {
  const auto layer = biased_layer(15);
  const auto moments = planted(5, 16);
  const auto u = random_tensor({2, kOutputs}, 17);
  const auto shift = least_variance_shifts(layer, u, moments);
  const auto variance = [&](double by) {
    const auto q = slow_matrices(layer, u) + (shift + by).view({2, 1, 1}) * at::eye(kInputs, at::kDouble);
    const auto weighted = q.matmul(moments.covariance);
    const auto slope = 2 * q.matmul(moments.mean) + InteractionOperator(layer, u).linear();
    return 2 * (weighted * weighted.mT()).sum({1, 2}) + (slope.mm(moments.covariance) * slope).sum(1);
  };
  for (const double by : {-0.01, 0.01, -1.0, 1.0}) CHECK(variance(by).gt(variance(0)).all().item<bool>());
  const auto plain = random_layer(kUnits, kInputs, kOutputs, true, 18);
  const InputMoments isotropic = {1, at::zeros({kInputs}, at::kDouble), at::eye(kInputs, at::kDouble)};
  const auto trace = InteractionOperator(plain, {}).trace();
  CHECK(largest(least_variance_shifts(plain, {}, isotropic) + trace / kInputs) < 1e-14);
}

TEST_CASE("moments come from inputs some at a time, however far from 0 these are") {
  const auto x = random_tensor({300, 5}, 19) * at::tensor({1.0, 0.1, 3.0, 0.0, 1e-3}, at::kDouble) + 1e6;
  MomentSums sums;
  for (const auto& part : x.split(70)) sums.add(part);
  const auto found = sums.finish();
  CHECK(found.count == 300);
  const auto centred = x - x.mean(0);
  CHECK(largest(found.mean - x.mean(0)) < 1e-8);  // of numbers of 1e6
  CHECK(largest(found.covariance - centred.t().mm(centred) / 300) < 1e-9);
  // What does not vary is cut; 1e-3 beside 3 stays.
  CHECK(reveal_rank(found, kEps).rank() == 4);
}

TEST_CASE("inputs that do not vary by more than rounding are refused") {
  MomentSums sums;
  sums.add(at::full({50, 3}, 0.1, at::kDouble));
  CHECK_THROWS_AS(reveal_rank(sums.finish(), kEps), Error);
  MomentSums rounded;  // as activations in float32 differ
  rounded.add(1 + 1e-7 * random_tensor({50, 3}, 20));
  CHECK_THROWS_AS(reveal_rank(rounded.finish(), 1.2e-7), Error);
  CHECK(reveal_rank(rounded.finish(), kEps).rank() == 3);
}

TEST_CASE("a sphere that weights cannot tell from a constant is nothing but rounding") {
  // xᵀQx = ‖x‖² for every x: with one length a constant.
  BilinearLayer layer;
  layer.gate = layer.up = at::eye(kInputs, at::kDouble);
  layer.down = at::ones({1, kInputs}, at::kDouble);
  const InputMoments moments = {9, at::zeros({kInputs}, at::kDouble), planted(kInputs, 21).covariance};
  const auto found = weigh_spectra({layer, {}, {}}, weighting(moments, true), at::kCPU, all_pairs());
  CHECK(found.unchanged == 1);
  CHECK(found.shares.isnan().all().item<bool>());
  CHECK(found.shift.item<double>() == Approx(-1));
}

}  // namespace bilens::weighted_test
