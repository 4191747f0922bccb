#include "bilens/analysis/factors/method.h"

#include <set>

#include "catch.h"
#include "caught.h"

namespace bilens::method_test {
namespace {

TEST_CASE("a method is found by its name, and one that no row has is an error that names those there are") {
  std::set<std::string> names;
  for (const auto& method : methods()) {
    CHECK(&method_named(method.name, "here") == &method);
    CHECK(names.insert(method.name).second);
    CHECK((method.finds_pairs || method.run));  // it finds something
    CHECK((method.finds_pairs || method.cost));
  }
  const auto error = test::caught([] { method_named("pca", "decomposition.json: method"); });
  CHECK(error.code() == ExitCode::kBadInput);
  CHECK(test::contains(error.what(), "decomposition.json: method"));
  CHECK(test::contains(error.what(), "eigen, hosvd, sparse_eigen, rotate, joint, cp"));
  CHECK(test::contains(error.what(), "\"pca\""));
}

TEST_CASE(
    "factors of a method that approximates no layer stand for none, and of an unknown one are refused") {
  Factors factors;
  factors.method = "hosvd";
  CHECK_FALSE(approximate_layer(factors).has_value());
  factors.method = "pca";
  CHECK_THROWS_AS(approximate_layer(factors), Error);
}

}  // namespace
}  // namespace bilens::method_test
