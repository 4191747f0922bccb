#include "bilens/analysis/forms/gram.h"

#include <ATen/ATen.h>

#include <limits>

#include "bilens/core/error.h"
#include "catch.h"
#include "caught.h"
#include "layers.h"

namespace bilens::gram_test {

using namespace bilens::test;

namespace {

/// Bytes for tiles: the smallest, of 32 units, some larger ones, all units at once.
const auto kLimits = {int64_t{0}, int64_t{150000}, kTileMemory};

/// The matrices Q_u entry by entry, over the input.
at::Tensor formed(const EigenProblem& problem) {
  const auto layer = problem.embed.defined() ? fold_input(problem.layer, problem.embed) : problem.layer;
  return slow_matrices(layer, problem.directions.defined() ? problem.directions
                                                           : at::eye(layer.d_out(), at::dtype(at::kDouble)));
}

at::Tensor norms(const at::Tensor& matrices) { return matrices.norm(2, {1, 2}); }

}  // namespace

TEST_CASE("products of interaction matrices are those of the formed matrices", "[gram]") {
  // 150 = 4·32 + 22 and 77 = 2·32 + 13 hidden units; over one input space of 9 numbers.
  const auto embed = random_tensor({7, 9}, 1) / 3.0, other_embed = random_tensor({5, 9}, 2) / 3.0;
  const auto directions = random_tensor({3, 4}, 3);
  const std::vector<EigenProblem> problems = {
      {random_layer(150, 9, 6, true, 1), {}, {}},
      {random_layer(77, 9, 77, false, 2), {}, {}},
      {random_layer(150, 7, 4, true, 3), embed, directions},
      {random_layer(77, 5, 4, true, 4), other_embed, {}},
      {random_layer(1, 9, 4, true, 5), {}, directions},
  };
  for (const auto& a : problems) {
    const auto qa = formed(a);
    for (const auto& b : problems) {
      const auto qb = formed(b);
      const auto expected = at::einsum("aij,bij->ab", {qa, qb});
      const auto scale = norms(qa).unsqueeze(1) * norms(qb);
      for (const int64_t limit : kLimits) {
        // Sums of up to 150² products, relative to the norms: some 100 eps are seen.
        CHECK(((frobenius_products(a, b, limit) - expected) / scale).abs().max().item<double>() < 1e-12);
      }
    }
    for (const int64_t limit : kLimits) {
      const auto own = frobenius_products(a, limit);
      const auto expected = at::einsum("aij,bij->ab", {qa, qa});
      CHECK(((own - expected) / expected.diagonal().max()).abs().max().item<double>() < 1e-12);
      CHECK(own.equal(own.t()));
      CHECK((squared_frobenius(a, limit) / norms(qa).square() - 1).abs().max().item<double>() < 1e-12);
    }
  }
}

TEST_CASE("norms of more directions than outputs, without their S", "[gram]") {
  const EigenProblem problem{random_layer(40, 6, 3, true, 1), {}, random_tensor({1500, 3}, 2)};
  const auto few = problem.directions.narrow(0, 1100, 2);
  const auto all = squared_frobenius(problem);
  const auto expected = norms(formed({problem.layer, {}, few})).square();
  CHECK((all.narrow(0, 1100, 2) / expected - 1).abs().max().item<double>() < 1e-12);
  CHECK(
      (all.narrow(0, 1100, 2) / squared_frobenius({problem.layer, {}, few}) - 1).abs().max().item<double>() <
      1e-12);
}

TEST_CASE("weights of few digits are taken as they are, products in float64", "[gram]") {
  const auto embed = random_tensor({7, 9}, 1);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const EigenProblem stored{random_layer(70, 7, 4, true, 1).to(dtype, at::kCPU), embed.to(dtype), {}};
    const EigenProblem wide{stored.layer.to(at::kDouble, at::kCPU), stored.embed.to(at::kDouble), {}};
    const auto products = frobenius_products(stored, 0);
    CHECK(products.scalar_type() == at::kDouble);
    CHECK(products.equal(frobenius_products(wide, 0)));  // a float32 product anywhere is 1e-7 off
    CHECK(squared_frobenius(stored, 0).equal(squared_frobenius(wide, 0)));
  }
}

TEST_CASE("products of weights near 1e±30 are exact multiples", "[gram]") {
  const auto layer = random_layer(70, 7, 4, true, 1);
  const auto products = frobenius_products({layer, {}, {}}), squares = squared_frobenius({layer, {}, {}});
  for (const double power : {100.0, -100.0}) {
    const double unit = std::exp2(power);  // 1.3e30: no rounding; the products have its sixth power
    BilinearLayer scaled;
    scaled.gate = layer.gate * unit;
    scaled.up = layer.up * unit;
    scaled.down = layer.down * unit;
    CHECK(frobenius_products({scaled, {}, {}}).equal(products * std::exp2(6 * power)));
    CHECK(squared_frobenius({scaled, {}, {}}).equal(squares * std::exp2(6 * power)));
  }
}

TEST_CASE("a zero layer has zero products; weights and spaces that are none are refused", "[gram]") {
  auto layer = random_layer(40, 6, 3, true, 1);
  BilinearLayer zero = layer;
  zero.up = at::zeros_like(layer.up);
  CHECK(squared_frobenius({zero, {}, {}}).equal(at::zeros({3}, at::kDouble)));
  CHECK(frobenius_products({layer, {}, {}}, {zero, {}, {}}).equal(at::zeros({3, 3}, at::kDouble)));

  const EigenProblem other{random_layer(40, 5, 3, true, 1), {}, {}};
  CHECK(contains(caught([&] { frobenius_products({layer, {}, {}}, other); }).what(), "input space"));
  const EigenProblem wrong_embed{layer, random_tensor({5, 9}, 1), {}};
  CHECK(contains(caught([&] { squared_frobenius(wrong_embed); }).what(), "embedding"));
  auto directions = random_tensor({2, 3}, 1);
  directions[1][2] = std::numeric_limits<double>::infinity();
  CHECK(contains(caught([&] { squared_frobenius({layer, {}, directions}); }).what(), "directions"));
  layer.gate = layer.gate.clone();
  layer.gate[39][5] = std::numeric_limits<double>::quiet_NaN();
  CHECK(caught([&] { squared_frobenius({layer, {}, {}}); }).code() == ExitCode::kBadInput);
  CHECK(caught([&] { frobenius_products({layer, {}, {}}); }).code() == ExitCode::kBadInput);
}

}  // namespace bilens::gram_test
