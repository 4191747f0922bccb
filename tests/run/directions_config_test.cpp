#include "decompose/directions_config.h"

#include "catch.h"

namespace bilens::directions_config_test {
namespace {

DirectionsConfig read(const std::string& text, std::vector<Problem>& problems) {
  return read_directions(Json::parse(text), "directions", problems);
}

}  // namespace

TEST_CASE("directions that are read are written the same, whatever their kind") {
  for (const std::string text :
       {R"({"kind":"outputs"})", R"({"kind":"axes"})", R"({"kind":"random","count":3,"seed":1})",
        R"({"kind":"file","path":"u.safetensors","tensor":"u[0:2]"})",
        R"({"kind":"tokens","plus":["▁she",17],"minus":[]})", R"({"kind":"unembedding","tokens":[1,2]})",
        R"({"kind":"hosvd","count":4})",
        R"({"kind":"eigenvectors","layer":1,"direction":0,"indices":[0,2]})"}) {
    INFO(text);
    std::vector<Problem> problems;
    const auto directions = read(text, problems);
    CHECK(problems.empty());
    CHECK(write_directions(directions).dump() == text);
  }
}

TEST_CASE("a text stands for a kind without keys") {
  std::vector<Problem> problems;
  CHECK(read(R"("axes")", problems).kind == DirectionKind::kAxes);
  CHECK(problems.empty());
}

TEST_CASE("the kind is among the keys that a kind of directions knows") {
  std::vector<Problem> problems;
  read(R"({"kind":"hosvd","count":4,"seed":1})", problems);
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].expected == "a known key (kind, count)");
}

TEST_CASE("a seed is put into random directions alone") {
  const auto seeded = [](Json directions) {
    set_seed_of_directions(directions, 7);
    return directions.dump();
  };
  CHECK(seeded({{"kind", "random"}, {"count", 3}}) == R"({"kind":"random","count":3,"seed":7})");
  CHECK(seeded({{"kind", "random"}, {"seed", 1}}) == R"({"kind":"random","seed":7})");
  CHECK(seeded({{"kind", "hosvd"}, {"count", 4}}) == R"({"kind":"hosvd","count":4})");
  CHECK(seeded("random") == R"("random")");
}

TEST_CASE("each key of directions that is missing or unknown is a problem") {
  const auto count = [](const std::string& text) {
    std::vector<Problem> problems;
    read(text, problems);
    return problems.size();
  };
  CHECK(count("3") == 1);
  CHECK(count(R"({"kind":"nothing"})") == 1);
  CHECK(count(R"({"kind":"random"})") == 2);
  CHECK(count(R"({"kind":"random","count":0,"seed":1})") == 1);
  CHECK(count(R"({"kind":"axes","count":1})") == 1);
}

}  // namespace bilens::directions_config_test
