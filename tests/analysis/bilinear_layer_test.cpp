#include "bilens/analysis/forms/bilinear_layer.h"

#include <ATen/ATen.h>

#include "bilens/analysis/forms/gram.h"
#include "bilens/analysis/forms/interaction.h"
#include "bilens/core/error.h"
#include "catch.h"
#include "layers.h"

namespace bilens::bilinear_layer_test {

using namespace bilens::test;

TEST_CASE("the interaction matrix of a layer worked out by hand") {
  // W = [[1, 2], [0, 1]], V = [[3, 0], [1, 1]], P = [[1, -1]]: y = (x1 + 2x2)·3x1 − x2·(x1 + x2)
  //   = 3x1² + 5x1x2 − x2², so Q = [[3, 2.5], [2.5, −1]].
  BilinearLayer layer;
  layer.gate = at::tensor({1.0, 2.0, 0.0, 1.0}).view({2, 2});
  layer.up = at::tensor({3.0, 0.0, 1.0, 1.0}).view({2, 2});
  layer.down = at::tensor({1.0, -1.0}).view({1, 2});
  const InteractionOperator q(layer, {});
  const auto expected = at::tensor({3.0, 2.5, 2.5, -1.0}).view({1, 2, 2});
  CHECK(q.form(0, 1, at::kDouble).equal(expected));
  CHECK(q.trace().item<double>() == 2.0);
  CHECK(squared_frobenius({layer, {}, {}}).item<double>() == Approx(9 + 2 * 6.25 + 1).epsilon(1e-15));
  const auto x = at::tensor({2.0, -1.0});
  CHECK(layer.forward(x).item<double>() == 3 * 4 + 5 * -2 - 1);
}

TEST_CASE("fast paths agree with forming the matrix entry by entry") {
  for (const bool with_down : {true, false}) {
    const auto layer = random_layer(13, 7, with_down ? 5 : 13, with_down, 3);
    const auto u = random_tensor({4, layer.d_out()}, 4);
    const InteractionOperator q(layer, u);
    const auto slow = slow_matrices(layer, u);
    // Sums of 13 products of numbers of order one: k·eps with k = 50.
    const double tolerance = 50 * 2.2e-16 * slow.abs().max().item<double>();
    CHECK((q.form(0, 4, at::kDouble) - slow).abs().max().item<double>() < tolerance);
    CHECK((q.form(1, 2, at::kDouble) - slow.narrow(0, 1, 2)).abs().max().item<double>() < tolerance);
    CHECK(q.form(0, 4, at::kDouble).equal(q.form(0, 4, at::kDouble).mT()));  // exactly symmetric
    const auto x = random_tensor({4, 3, 7}, 5);
    CHECK((q.apply(x) - x.matmul(slow)).abs().max().item<double>() < 10 * tolerance);
    CHECK((q.trace() - slow.diagonal(0, 1, 2).sum(1)).abs().max().item<double>() < tolerance);
  }
}

TEST_CASE("the form is the layer: x'Qx + l·x + c = u·y, with biases and residual") {
  auto layer = random_layer(9, 6, 6, true, 6);
  layer.gate_bias = random_tensor({9}, 7);
  layer.up_bias = random_tensor({9}, 8);
  layer.down_bias = random_tensor({6}, 9);
  layer.residual = true;
  const auto u = random_tensor({3, 6}, 10), x = random_tensor({20, 6}, 11);
  const InteractionOperator q(layer, u);
  const auto form =
      at::einsum("ni,uij,nj->nu", {x, q.form(0, 3, at::kDouble), x}) + x.mm(q.linear().t()) + q.constant();
  const auto expected = layer.forward(x).mm(u.t());
  CHECK((form - expected).abs().max().item<double>() < 1e-12 * expected.abs().max().item<double>());
}

TEST_CASE("layers that are none are refused by name") {
  auto layer = random_layer(4, 3, 2, true, 1);
  layer.up = at::zeros({4, 2}, at::kDouble);
  CHECK_THROWS_WITH(check_layer(layer, "model: layer 0"),
                    ContainsSubstring("model: layer 0: up") && ContainsSubstring("[4, 3]"));
  auto broken = random_layer(4, 3, 2, true, 1);
  broken.gate[1][2] = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH(check_layer(broken, "layer"), ContainsSubstring("NaN"));
  broken.gate[1][2] = -std::numeric_limits<double>::infinity();
  CHECK_THROWS_AS(check_layer(broken, "layer"), Error);
  auto residual = random_layer(4, 3, 2, true, 1);
  residual.residual = true;
  CHECK_THROWS_AS(check_layer(residual, "layer"), Error);
}

}  // namespace bilens::bilinear_layer_test
