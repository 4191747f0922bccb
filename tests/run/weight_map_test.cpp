#include "layers/weight_map.h"

#include "catch.h"

namespace bilens::weight_map_test {
namespace {

std::vector<Problem> problems_of(const WeightMap& map) {
  std::vector<Problem> problems;
  check_weight_map(map, problems);
  return problems;
}

WeightMap named() {
  WeightMap map;
  map.gate = "h.{layer}.w", map.up = "h.{layer}.v", map.down = "h.{layer}.p";
  return map;
}

}  // namespace

TEST_CASE("the number of a layer stands for each placeholder") {
  CHECK(for_layer("h.{layer}.mlp_{layer}.w", 12) == "h.12.mlp_12.w");
  CHECK(for_layer("w", 12) == "w");
}

TEST_CASE("names that belong together are taken together") {
  CHECK(problems_of({}).empty());
  CHECK(problems_of(named()).empty());
  auto map = named();
  map.up = "h.0.v";
  REQUIRE(problems_of(map).size() == 1);
  CHECK(problems_of(map).front().where == "weights.up");
  map = {};
  map.final_norm = "norm";
  REQUIRE(problems_of(map).size() == 1);
  CHECK(problems_of(map).front().where == "weights.final_norm");
  map = {};
  map.gate_bias = "b";
  REQUIRE(problems_of(map).size() == 1);
  CHECK(problems_of(map).front().where == "weights.gate_bias");
}

TEST_CASE("the first tensor that is named is found, and the kind of a gain is none") {
  CHECK(WeightMap().first_named().empty());
  WeightMap map;
  map.one_plus = true;
  CHECK(map.first_named().empty());
  map.head = "lm_head.weight";
  CHECK(map.first_named() == "head \"lm_head.weight\"");
  CHECK(named().first_named() == "gate \"h.{layer}.w\"");
}

}  // namespace bilens::weight_map_test
