#include "bilens/core/text.h"

#include "catch.h"

namespace bilens::text_test {
namespace {

TEST_CASE("text is formatted by the rules of printf, whatever its length") {
  CHECK(format("nothing to fill in").size() == 18);
  CHECK(format("%s: %.2f%% of %d", "done", 12.5, 7) == "done: 12.50% of 7");
  const std::string path(5000, 'x');
  CHECK(format("<%s>", path.c_str()) == "<" + path + ">");
}

}  // namespace
}  // namespace bilens::text_test
