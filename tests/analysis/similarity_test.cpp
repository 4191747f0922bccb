#include "bilens/analysis/forms/similarity.h"

#include <ATen/ATen.h>

#include "bilens/analysis/forms/interaction.h"
#include "catch.h"
#include "layers.h"

namespace bilens::similarity_test {

using namespace bilens::test;

namespace {

QuadraticForms random_forms(uint64_t seed, int64_t d) {
  auto layer = random_layer(5, d, 3, true, seed);
  return {layer, random_tensor({2, 3}, seed + 100), random_tensor({2, d}, seed + 200)};
}

}  // namespace

TEST_CASE("weight products are Frobenius products of the formed matrices") {
  const auto a = random_forms(1, 6), b = random_forms(2, 6);
  const auto qa = slow_matrices(a.layer, a.directions), qb = slow_matrices(b.layer, b.directions);
  const auto expected = at::einsum("aij,bij->ab", {qa, qb});
  CHECK((weight_products(a, b) - expected).abs().max().item<double>() < 1e-13);
  const auto cosines = normalize_products(weight_products(a, a), weight_squares(a), weight_squares(a));
  CHECK((cosines.diagonal() - 1).abs().max().item<double>() < 1e-14);
}

TEST_CASE("data covariances are those of samples of the same Gaussian") {
  const int64_t d = 4;
  const auto a = random_forms(3, d), b = random_forms(4, d);
  const auto mix = random_tensor({d, d}, 5), mean = random_tensor({d}, 6);
  // 400,000 samples: a covariance of order one is known to about 1/√N·(kurtosis) ≈ 1%.
  const auto x = random_tensor({400000, d}, 7).mm(mix) + mean;
  const auto values = [&](const QuadraticForms& f) {
    return at::einsum("ni,uij,nj->nu", {x, slow_matrices(f.layer, f.directions), x}) + x.mm(f.linear.t());
  };
  const auto fa = values(a), fb = values(b);
  const auto sampled = (fa - fa.mean(0)).t().mm(fb - fb.mean(0)) / 400000.0;
  const auto stated = data_covariances(a, b, fit_gaussian(x));
  const auto scale = (fa.std(0).unsqueeze(1) * fb.std(0).unsqueeze(0));
  CHECK(((stated - sampled) / scale).abs().max().item<double>() < 0.01);
  const auto own = data_covariances(a, a, fit_gaussian(x)).diagonal();
  CHECK((data_variances(a, fit_gaussian(x)) / own - 1).abs().max().item<double>() < 1e-12);
  // The quadratic and the linear part both count: leaving one out is far outside.
  auto no_linear = a;
  no_linear.linear = at::zeros_like(a.linear);
  CHECK(((data_covariances(no_linear, b, fit_gaussian(x)) - sampled) / scale).abs().max().item<double>() >
        0.05);
}

}  // namespace bilens::similarity_test
