#include "bilens/records/metrics.h"

#include <cmath>

#include "catch.h"
#include "caught.h"

namespace bilens::metrics_test {
namespace {

using test::caught;
using test::contains;

std::string text_of(const MetricsLine& line) { return write_metrics_line(line).dump(); }

/// Each is read as what it is, and written again as it was.
const char* const kLines[] = {
    R"({"step":1,"epoch":0.5,"loss":2.0,"accuracy":0.5,"grad_norm":null,"lr":0.1,"images_per_second":8.0,"mfu":0.5})",
    R"({"step":1,"epoch":0.5,"loss":2.0,"grad_norm":1.0,"lr":0.1,"tokens_per_second":8.0,"mfu":0.5})",
    R"({"step":1,"epoch":0.5,"split":"validation","examples":9,"loss":2.0,"accuracy":0.5})",
    R"({"step":1,"epoch":0.5,"split":"validation","tokens":9,"loss":2.0,"perplexity":7.5,"peak_memory":3,"beta":0.5})",
    R"({"step":1,"epoch":0.5,"split":"test","tokens":9,"loss":2.0,"perplexity":7.5})",
    R"({"step":1,"epoch":0.5,"split":"sample","text":"Once"})"};

}  // namespace

TEST_CASE("a line that is read and written again is the same") {
  size_t kinds[] = {0, 0, 1, 1, 1, 2};
  for (size_t i = 0; i < std::size(kLines); ++i) {
    const auto line = read_metrics_line(kLines[i], "a line");
    CHECK(line.index() == kinds[i]);
    CHECK(text_of(line) == kLines[i]);
    CHECK(step_of(line) == 1);
  }
  CHECK(split_of(read_metrics_line(kLines[0], "")) == "train");
  CHECK(split_of(read_metrics_line(kLines[4], "")) == "test");
  CHECK(split_of(read_metrics_line(kLines[5], "")) == "sample");
}

TEST_CASE("numbers of a line go by their names") {
  const auto numbers = numbers_of(read_metrics_line(kLines[3], ""));
  CHECK(numbers == NamedNumbers{{"epoch", 0.5},
                                {"tokens", 9},
                                {"loss", 2},
                                {"perplexity", 7.5},
                                {"peak_memory", 3},
                                {"beta", 0.5}});
  const auto sampled = numbers_of(read_metrics_line(kLines[5], ""));
  CHECK(sampled == NamedNumbers{{"epoch", 0.5}});
}

TEST_CASE("a line of another version may lack all but its step") {
  const auto step = std::get<StepMetrics>(read_metrics_line(R"({"step": 3, "new": 1})", "a line"));
  CHECK(step.step == 3);
  CHECK(std::isnan(step.loss));
  const auto seen = std::get<EvaluationMetrics>(read_metrics_line(R"({"step":3,"split":"test"})", "a line"));
  CHECK(std::isnan(seen.loss));
  CHECK_FALSE(seen.accuracy);
}

TEST_CASE("a damaged line is refused by its name") {
  for (const char* text : {"{", "[1]", R"({"loss":1})", R"({"step":"1"})", R"({"step":-1})",
                           R"({"step":1,"split":3})", R"({"step":1,"split":"test","loss":"low"})"})
    CHECK(contains(caught([&] { read_metrics_line(text, "metrics.jsonl, line 2"); }).what(),
                   "metrics.jsonl, line 2"));
}

}  // namespace bilens::metrics_test
