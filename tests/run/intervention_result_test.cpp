#include "commands/intervention_result.h"

#include "bilens/records/record_file.h"
#include "catch.h"
#include "caught.h"

namespace bilens::intervention_result_test {
namespace {

using test::contains;

InterventionStudy study() {
  const IntervalRecord interval{0.5, 0.25, 0.75, 4, 0.125, 16};
  const OfFigures<IntervalRecord> figures{interval, interval, {0.125, 0.0, 0.25, 4, 0.375, 16}};
  const ControlTest test{interval, 0.25};
  InterventionStudy found{100, 4, 1.5, {}, {}};
  found.effects = {{Changed::kEigenvectors, 0.5, figures, figures},
                   {Changed::kDirection, 2.0, figures, figures}};
  found.tests = {{Changed::kSameMean, 19, {test, test, test}}};
  return found;
}

InterventionResult result(bool follows_logits) {
  InterventionSource about;
  about.decomposition = "d", about.model = "m", about.layer = 4, about.direction = "up";
  about.eigenvectors = {0};
  about.intervention.looked_at = 1, about.intervention.controls = 19;
  about.data.path = "text.txt", about.data.split = TextSplit::kTest;
  return intervention_result(about, study(), follows_logits);
}

}  // namespace

TEST_CASE("What intervene prints has its keys in their order and can be read back") {
  const Json json = InterventionResult::record().write(result(false));
  std::string keys;
  for (const auto& item : json.items()) keys += item.key() + " ";
  CHECK(
      keys ==
      "decomposition model surrogate layer direction eigenvectors intervention data source tokens documents "
      "loss effects wanted_p tests ");
  const std::string interval =
      R"({"mean":0.5,"low":0.25,"high":0.75,"documents":4,"flip_p":0.125,"flips":16})";
  CHECK(json["effects"][0].dump() == R"({"what":"eigenvectors","size":0.5,"loss":)" + interval +
                                         R"(,"divergence":)" + interval +
                                         R"(,"logits":null,"difference":null})");
  CHECK(json["tests"][0].dump() ==
        R"({"control":"random, same mean","controls":19,"smallest_p":0.05,"enough":true,"loss":)"
        R"({"difference":)" +
            interval + R"(,"p":0.25},"divergence":{"difference":)" + interval +
            R"(,"p":0.25},"logits":null})");
  const auto read = read_record<InterventionResult>(json, "the result");
  CHECK(InterventionResult::record().write(read) == json);
}

TEST_CASE("What intervene says is made of the result") {
  const auto text = intervention_in_words(result(false)), followed = intervention_in_words(result(true));
  CHECK(contains(
      text, "layer 4, up, eigenvectors [0], mean: loss 1.5000 on 100 tokens of 4 documents, test part\n"));
  CHECK(contains(text, "p is 1/20 = 0.05 at least, so that p <= .05 is possible"));
  CHECK_FALSE(contains(text, "logits"));
  CHECK(contains(followed, "logits"));
  CHECK(contains(followed, "+0.12500 [+0.00000, +0.25000], 0.38"));
  CHECK(contains(text,
                 "signs: 16 flips over 4 documents: p is 0.12 at least, so that p <= .05 is not possible"));
}

}  // namespace bilens::intervention_result_test
