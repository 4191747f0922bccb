#include "bilens/records/text_truncation.h"

#include <cmath>
#include <limits>

#include "bilens/records/record_file.h"
#include "catch.h"
#include "caught.h"

namespace bilens::text_truncation_record_test {
namespace {

using test::caught;
using test::contains;

Json through_text(const Json& json) { return parse_json(format_json(json), "a text", ExitCode::kBadInput); }

Json example() {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  const LossesRecord losses{
      9980, 25, 1.5, {{4, {0, 1}, {{0.5, 0.25, 0.75, 25, 0.125, 9999}, {0.0, kNone, kNone, 1}}}}};
  return through_text(LossesRecord::record().write(losses));
}

TEST_CASE("Losses of truncated layers are written with their keys in their order and read back") {
  CHECK(example().dump() ==
        R"({"tokens":9980,"documents":25,"loss":1.5,"layers":[{"layer":4,"k":[0,1],"change":)"
        R"([{"mean":0.5,"low":0.25,"high":0.75,"documents":25,"flip_p":0.125,"flips":9999},)"
        R"({"mean":0.0,"low":null,"high":null,"documents":1,"flip_p":null,"flips":0}]}]})");
  const auto read = read_record<LossesRecord>(example(), "corpus.json: losses");
  CHECK(std::isnan(read.layers[0].change[1].low));
  CHECK(through_text(LossesRecord::record().write(read)) == example());
}

TEST_CASE("What is damaged in losses is named") {
  Json json = example();
  json["layers"][0]["change"][1].erase("mean");
  json["layers"][0]["k"] = {0, 1.5};
  const auto error = caught([&] { read_record<LossesRecord>(json, "corpus.json: losses"); });
  CHECK(error.problems().size() == 2);
  CHECK(contains(error.what(), "corpus.json: losses.layers[0].change[1].mean"));
  CHECK(contains(error.what(), "corpus.json: losses.layers[0].k"));
}

}  // namespace
}  // namespace bilens::text_truncation_record_test
