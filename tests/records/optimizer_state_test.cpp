#include "bilens/records/optimizer_state.h"

#include <ATen/ATen.h>

#include "catch.h"
#include "caught.h"

namespace bilens::optimizer_state_test {

TEST_CASE("What is kept of a parameter has its name behind that of the state, and is not copied") {
  NamedTensors tensors;
  const auto step = at::zeros({}, at::kFloat);
  add_state(tensors, AdamWState{at::rand({2, 3}), at::rand({2, 3}, at::kBFloat16), step}, "head.weight");
  add_state(tensors, MuonState{at::rand({4})}, "w");
  REQUIRE(tensors.size() == 4);
  CHECK(tensors[0].first == "exp_avg.head.weight");
  CHECK(tensors[1].first == "exp_avg_sq.head.weight");
  CHECK(tensors[2].first == "step.head.weight");
  CHECK(tensors[2].second.is_same(step));
  CHECK(tensors[3].first == "momentum.w");
}

TEST_CASE("A state of any shape is kept, but not of other numbers") {
  NamedTensors tensors;
  const auto text = test::caught([&] { add_state(tensors, MuonState{at::rand({4}, at::kDouble)}, "w"); });
  CHECK(test::contains(text.what(), "float32 or bfloat16"));
  CHECK(tensors.empty());
}

}  // namespace bilens::optimizer_state_test
