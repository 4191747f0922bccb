#include "decompose/decompose_summary.h"

#include <ATen/ATen.h>

#include "catch.h"
#include "caught.h"

namespace bilens::decompose_summary_test {
namespace {

using test::contains;

/// Two directions with one eigenpair each; the second is no more than rounding.
LayerDecomposition layer() {
  LayerDecomposition layer;
  layer.layer = 3, layer.d_in = 2, layer.d_hidden = 2, layer.d_out = 2;
  auto& pairs = layer.pairs;
  pairs.eigenvalues = at::tensor({2.0, 0.0}, at::kDouble).view({2, 1});
  pairs.residuals = at::tensor({1e-9, 0.0}, at::kDouble).view({2, 1});
  pairs.converged = at::tensor({1, 0}, at::kByte);
  pairs.effective_rank = at::full({2}, NAN, at::kDouble);
  return layer;
}

DecompositionResult result_of(const LayerDecomposition& layer) {
  DecompositionResult result;
  result.model = "model", result.out = "out", result.seconds = 1.5;
  Decomposition decomposition;
  decomposition.layers = {layer};
  result.layers = summarize_layers(decomposition);
  return result;
}

}  // namespace

TEST_CASE("what a decomposition came to stands in its words") {
  const auto words = decomposition_in_words(result_of(layer()));
  CHECK(contains(words, "layer 3: 2 directions, top 1, 1 converged, worst residual 1.0e-09\n"));
  CHECK(contains(words, "  out\n"));
}

TEST_CASE("of a difference the words say what did not change") {
  auto of_difference = layer();
  of_difference.pairs.floor = at::full({2}, 1e-12, at::kDouble);
  auto result = result_of(of_difference);
  result.minus = "other";
  CHECK(contains(decomposition_in_words(result), "1 converged, no change in 1, worst"));
  of_difference.pairs.floor = at::full({2}, 3.0, at::kDouble);
  result.layers = result_of(of_difference).layers;
  CHECK(contains(decomposition_in_words(result), "top 1, no change (nothing above 3.0e+00)"));
  result.minus.reset();
  CHECK(contains(decomposition_in_words(result), "nothing but rounding"));
}

TEST_CASE("the result of a command says of a layer what it has, and leaves out the rest") {
  const auto json = DecompositionResult::record().write(result_of(layer()));
  CHECK(json.at("layers")[0].dump() ==
        R"({"layer":3,"method":"eigen","directions":2,"k":1,"converged":1,"worst_residual":1e-09})");
  CHECK(json.at("minus").is_null());
}

}  // namespace bilens::decompose_summary_test
