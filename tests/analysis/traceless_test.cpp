#include "bilens/analysis/forms/traceless.h"

#include <ATen/ATen.h>

#include "bilens/analysis/forms/interaction.h"
#include "catch.h"
#include "layers.h"

namespace bilens::traceless_test {

using namespace bilens::test;

TEST_CASE("a layer without trace is one layer, for every direction and size of weights") {
  for (const double size : {1.0, 1e30, 1e-30}) {
    for (const bool with_down : {true, false}) {
      auto layer = random_layer(13, 7, with_down ? 5 : 13, with_down, 3);
      layer.gate = layer.gate * size;
      layer.gate_bias = random_tensor({13}, 5);
      const auto u = random_tensor({4, layer.d_out()}, 4);
      const InteractionOperator q(layer, u), off(without_trace(layer), u);
      const auto whole = q.form(0, 4, at::kDouble), shift = (q.trace() / 7).view({4, 1, 1});
      const auto expected = whole - shift * at::eye(7, at::kDouble);
      // Sums of 20 products: k·eps with k = 50.
      const double tolerance = 50 * 2.2e-16 * whole.abs().max().item<double>();
      CHECK((off.form(0, 4, at::kDouble) - expected).abs().max().item<double>() < tolerance);
      CHECK(off.trace().abs().max().item<double>() < 7 * tolerance);
      CHECK((off.linear() - q.linear()).abs().max().item<double>() < 1e-14);
    }
  }
  const auto stored = random_layer(3, 2, 3, false, 6).to(at::kFloat, at::kCPU);
  CHECK(without_trace(stored).gate.scalar_type() == at::kDouble);
}

}  // namespace bilens::traceless_test
