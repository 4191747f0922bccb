#include "bilens/analysis/factors/method.h"

#include <set>

#include "catch.h"

namespace bilens::method_test {
namespace {

TEST_CASE("a method is found by its name, and the files know the same ones") {
  std::set<std::string> names = {"weighted"}, of_files = {kEigen};  // weighted by data are those of eigen
  for (const auto& method : methods()) {
    CHECK(&method_named(method.name) == &method);
    CHECK(names.insert(method.name).second);
    CHECK((method.finds_pairs || method.run));  // it finds something
    CHECK((method.finds_pairs || method.cost));
    CHECK(finds_factors(method.name, "here") == static_cast<bool>(method.run));
  }
  for (const auto& description : describe_factors()) of_files.insert(description.method);
  CHECK(names == of_files);
}

TEST_CASE("factors of a method that approximates no layer stand for none") {
  CHECK_FALSE(approximate_layer({HosvdFactors(), "", 0}).has_value());
}

}  // namespace
}  // namespace bilens::method_test
