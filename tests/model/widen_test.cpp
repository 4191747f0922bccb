#include "bilens/model/widen.h"

#include <ATen/ATen.h>

#include <cmath>
#include <map>
#include <stdexcept>

#include "catch.h"
#include "random_decoder.h"

namespace bilens::widen_test {
namespace {

using test::random_model;

std::map<std::string, at::Tensor> by_name(const Decoder& model) {
  return {model.parameters().begin(), model.parameters().end()};
}

TEST_CASE("more hidden units leave the function as it is") {
  for (const auto gate : {Gate::kSilu, Gate::kNone}) {
    for (const bool biased : {false, true}) {
      auto model = random_model(gate, biased);
      auto wide = widen(model, 31, 4);
      CHECK(wide.config().intermediate_size == 31);
      CHECK(wide.config().hidden_act == gate);
      const auto tokens = at::arange(16).view({2, 8});
      const auto expected = model.logits(model.final_states(tokens, {}));
      // Sums of more numbers, those added 0, in another order.
      CHECK(at::allclose(wide.logits(wide.final_states(tokens, {})), expected, 1e-5, 1e-5));
    }
  }
}

TEST_CASE("the new rows are as large as the old ones and not the same in any two matrices") {
  auto model = random_model(Gate::kSilu);
  const auto wide = by_name(widen(model, 2000, 4)), again = by_name(widen(model, 2000, 4)),
             other = by_name(widen(model, 2000, 5));
  for (const auto& [name, weight] : by_name(model)) {
    const auto& w = wide.at(name);
    CHECK(at::equal(w, again.at(name)));
    if (!is_mlp_weight(name)) {
      CHECK(w.is_same(weight));
    } else if (name.ends_with("gate_proj.weight") || name.ends_with("up_proj.weight")) {
      const auto added = w.narrow(0, 12, 1988);
      CHECK(at::equal(w.narrow(0, 0, 12), weight));
      const double ratio = (added.std() / weight.std()).item<double>();
      CHECK(std::abs(ratio - 1) < 0.03);  // of 15,904 draws; their own error is 0.6%
      CHECK(!at::equal(added, other.at(name).narrow(0, 12, 1988)));
    }
  }
  CHECK(!at::equal(wide.at("model.layers.0.mlp.gate_proj.weight").narrow(0, 12, 9),
                   wide.at("model.layers.0.mlp.up_proj.weight").narrow(0, 12, 9)));
}

TEST_CASE("widening keeps dtypes, and refuses fewer units") {
  auto model = random_model(Gate::kSilu);
  std::map<std::string, at::Tensor> weights;
  for (const auto& [name, weight] : model.parameters())
    weights[name] = is_mlp_weight(name) ? weight : weight.to(at::kBFloat16);
  const auto wide = widen(Decoder(model.config(), weights), 13, 0);
  for (const auto& [name, weight] : wide.parameters())
    CHECK(weight.scalar_type() == (is_mlp_weight(name) ? at::kFloat : at::kBFloat16));
  CHECK_THROWS_AS(widen(model, 11, 0), std::invalid_argument);
}

}  // namespace
}  // namespace bilens::widen_test
