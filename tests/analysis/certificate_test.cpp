#include "bilens/analysis/eigen/certificate.h"

#include <ATen/ATen.h>

#include <cmath>

#include "bilens/analysis/eigen/eigen.h"
#include "catch.h"
#include "layers.h"

namespace bilens::certificate_test {

using namespace bilens::test;

namespace {

EigenPairs certified(const BilinearLayer& layer, int64_t k, EigenSolver solver = EigenSolver::kAuto,
                     at::ScalarType dtype = at::kDouble, const at::Tensor& embed = {}) {
  EigenConfig config;
  config.k = k;
  config.dtype = dtype;
  config.solver = solver;
  config.certify = true;
  return solve_eigen({layer, embed, {}}, at::kCPU, config);
}

/// The bound for the planted layer's own vectors, but for those left out.
double bound_without(const BilinearLayer& layer, const at::Tensor& vectors, const std::vector<double>& values,
                     const std::vector<int64_t>& kept, double next) {
  const InteractionOperator q(layer, at::ones({1, 1}, at::kDouble));
  std::vector<double> own;
  for (const int64_t i : kept) own.push_back(values[i]);
  return Certifier(q).bound(0, at::tensor(own, at::kDouble),
                            vectors.index_select(0, at::tensor(kept, at::kLong)), next);
}

}  // namespace

TEST_CASE("a certificate bounds every eigenvalue that is not listed") {
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    for (const auto solver : {EigenSolver::kDense, EigenSolver::kLanczos}) {
      const auto layer = random_layer(33, 41, 4, true, 71);
      const auto pairs = certified(layer, 5, solver, dtype);
      const auto values = std::get<0>(at::linalg_eigh(slow_matrices(layer, at::eye(4, at::kDouble))));
      const auto sizes = std::get<0>(values.abs().sort(1, true));
      REQUIRE(pairs.certified_bound.isfinite().all().item<bool>());
      CHECK(pairs.certified_bound.gt(sizes.select(1, 5)).all().item<bool>());  // true: it is a bound
      CHECK(pairs.certified_bound.lt(sizes.select(1, 4))
                .all()
                .item<bool>());  // useful: it parts listed and unlisted
    }
  }
}

TEST_CASE("a withheld vector is noticed, whichever it is") {
  const std::vector<double> values = {3.0, -2.5, 2.0, -1.5, 1.0, 0.4, -0.3};
  at::Tensor vectors;
  const auto layer = planted_layer(values, 29, 72, &vectors);
  CHECK(bound_without(layer, vectors, values, {0, 1, 2, 3, 4}, 0.4) == Approx(0.7));
  for (int64_t missing = 0; missing < 4; ++missing) {
    std::vector<int64_t> kept;
    for (int64_t i = 0; i < 5; ++i) {
      if (i != missing) kept.push_back(i);
    }
    CHECK(std::isnan(bound_without(layer, vectors, values, kept, 0.4)));
  }
  // Withholding the last leaves a true statement about the others.
  CHECK(bound_without(layer, vectors, values, {0, 1, 2, 3}, 1.0) == Approx(1.25));
}

TEST_CASE("the margin: proofs succeed down to rounding and not below") {
  for (const double gap : {1e-1, 1e-4, 1e-7, 1e-10}) {
    const std::vector<double> values = {2.0, -1.0, 1.0 - gap};
    at::Tensor vectors;
    const auto layer = planted_layer(values, 19, 73, &vectors);
    const double bound = bound_without(layer, vectors, values, {0, 1}, 1.0 - gap);
    INFO("gap " << gap);
    CHECK(bound > 1.0 - gap);
    CHECK(bound < 1.0);
  }
  // No gap: nothing below |λ_k| can be proved; just above it, it can.
  const std::vector<double> tied = {2.0, -1.0, 1.0};
  at::Tensor vectors;
  const auto layer = planted_layer(tied, 19, 74, &vectors);
  const double bound = bound_without(layer, vectors, tied, {0, 1}, 1.0);
  CHECK(bound > 1.0);
  CHECK(bound < 1.0 + 1e-6);
  // A missed eigenvalue above that is never passed.
  const std::vector<double> missed = {2.0, -1.0, 1.0 + 1e-5};
  const auto other = planted_layer(missed, 19, 75, &vectors);
  CHECK(std::isnan(bound_without(other, vectors, missed, {0, 1}, 0.5)));
}

TEST_CASE("copies that an iterative solver lost are found because the proof fails") {
  std::vector<double> values = {2.0, 2.0, 2.0, -1.5, 1.0};
  for (int64_t i = 0; i < 54; ++i) values.push_back(0.3 * std::cos(1.7 * static_cast<double>(i)));
  const auto layer = planted_layer(values, 59, 76);
  const auto pairs = certified(layer, 4, EigenSolver::kLanczos);
  CHECK(pairs.repaired == 1);
  CHECK((pairs.eigenvalues[0] - at::tensor({2.0, 2.0, 2.0, -1.5}, at::kDouble)).abs().max().item<double>() <
        1e-10);
  CHECK(pairs.certified_bound.item<double>() > 1.0);
  CHECK(pairs.certified_bound.item<double>() < 1.5);
}

TEST_CASE("certificates of degenerate problems: zero, k = d, an input map, scales") {
  auto zero = random_layer(7, 11, 1, true, 77);
  zero.gate.zero_();
  CHECK(certified(zero, 3).certified_bound.item<double>() < 1e-200);
  const auto layer = random_layer(13, 9, 2, true, 78);
  CHECK(certified(layer, 9).certified_bound.isfinite().all().item<bool>());
  const auto embed = random_tensor({9, 24}, 79);
  const auto over_input = certified(layer, 4, EigenSolver::kAuto, at::kDouble, embed);
  const auto folded = certified(fold_input(layer, embed), 4);
  CHECK((over_input.certified_bound - folded.certified_bound).abs().max().item<double>() <
        1e-9 * folded.certified_bound.max().item<double>());
  auto large = layer;
  large.gate = layer.gate * 1e30;
  large.up = layer.up * 1e30;
  CHECK((certified(large, 4).certified_bound / 1e60 - certified(layer, 4).certified_bound)
            .abs()
            .max()
            .item<double>() < 1e-9);
}

TEST_CASE("what float64 hardly holds is covered by the bound") {
  // W = V = 2^-537 diag(1, .75, .5): eigenvalues of 2^-1074, the smallest number there is, and less.
  BilinearLayer layer;
  layer.gate = at::diag(at::tensor({1.0, 0.75, 0.5}, at::kDouble)) * std::ldexp(1.0, -537);
  layer.up = layer.gate;
  layer.down = at::ones({1, 3}, at::kDouble);
  const double smallest = std::ldexp(1.0, -1074);
  const auto pairs = certified(layer, 1);
  CHECK(pairs.eigenvalues.item<double>() == smallest);
  CHECK(pairs.certified_bound.item<double>() >= smallest);  // above .5625 of it
  const InteractionOperator q(layer, at::ones({1, 1}, at::kDouble));
  const double bound = Certifier(q).bound(0, at::tensor({smallest}, at::kDouble),
                                          at::tensor({1.0, 0.0, 0.0}, at::kDouble).view({1, 3}), 0.0);
  CHECK((std::isnan(bound) || bound > 0));
  // The second pair is 3/4 · 3/4 of that: what is stored of it is another number, and its residual says so.
  const auto both = certified(layer, 2);
  CHECK(both.residuals[0][1].item<double>() == Approx(0.4375).epsilon(1e-9));
  CHECK(both.converged.item<int>() == 0);
  layer.down = layer.down * 1e300;
  CHECK(certified(layer, 2).converged.item<int>() == 1);
}

TEST_CASE("a remainder is bounded by its norm and rounding, also of rounded vectors") {
  const std::vector<double> values = {3.0, -2.5, 2.0, -0.5, 0.25};
  at::Tensor vectors;
  const auto layer = planted_layer(values, 23, 80, &vectors);
  for (const int64_t k : {int64_t{3}, int64_t{5}}) {
    for (const auto dtype : {at::kDouble, at::kFloat}) {
      EigenPairs pairs;
      pairs.eigenvalues = at::tensor(values, at::kDouble).narrow(0, 0, k).unsqueeze(0);
      pairs.eigenvectors = vectors.narrow(0, 0, k).to(dtype).unsqueeze(0);
      const auto x = pairs.eigenvectors[0].to(at::kDouble);
      const auto rest =
          slow_matrices(layer, at::ones({1, 1}, at::kDouble))[0] - (x.t() * pairs.eigenvalues[0]).mm(x);
      const double norm = at::linalg_eigvalsh(rest).abs().max().item<double>();
      const double bound = remainder_bounds({layer, {}, {}}, pairs, at::kCPU).item<double>();
      CHECK(bound > norm);
      CHECK(bound < norm * (1 + 1e-12) + 1e-12);
    }
  }
}

}  // namespace bilens::certificate_test
