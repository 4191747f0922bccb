#include "bilens/train/schedule.h"

#include "catch.h"

namespace bilens::schedule_test {
namespace {

/// Peak 2 over 12 steps, 4 of them warm-up.
double rate(Schedule kind, int64_t step, double final_rate = 0.0) {
  return learning_rate_at({kind, 2.0, 4, 12, final_rate, 0.5}, step);
}

TEST_CASE("warm-up is linear and ends at the peak") {
  for (const auto kind : {Schedule::kConstant, Schedule::kLinear, Schedule::kCosine, Schedule::kWsd}) {
    CHECK(rate(kind, 0) == 0.5);
    CHECK(rate(kind, 1) == 1.0);
    CHECK(rate(kind, 3) == 2.0);
    CHECK(rate(kind, 4) == 2.0);
  }
}

TEST_CASE("then constant, or half a cosine towards zero") {
  CHECK(rate(Schedule::kConstant, 11) == 2.0);
  // t = 1/4, 1/2, 3/4, 7/8 of the eight steps left; cosines to a few eps.
  CHECK(rate(Schedule::kCosine, 6) == Approx(1.0 + std::sqrt(0.5)).epsilon(1e-15));
  CHECK(rate(Schedule::kCosine, 8) == Approx(1.0).epsilon(1e-15));
  CHECK(rate(Schedule::kCosine, 10) == Approx(1.0 - std::sqrt(0.5)).epsilon(1e-15));
  CHECK(rate(Schedule::kCosine, 11) > 0.0);
  CHECK(rate(Schedule::kCosine, 11) < rate(Schedule::kCosine, 10));
}

TEST_CASE("or a line, or a plateau and a line over the last share of the steps") {
  CHECK(rate(Schedule::kLinear, 6) == 1.5);
  CHECK(rate(Schedule::kLinear, 10) == 0.5);
  // The last half of twelve steps.
  CHECK(rate(Schedule::kWsd, 6) == 2.0);
  CHECK(rate(Schedule::kWsd, 9) == 1.0);
  CHECK(rate(Schedule::kWsd, 11) == Approx(2.0 / 6).epsilon(1e-15));
  CHECK(learning_rate_at({Schedule::kWsd, 2.0, 4, 12, 0.0, 0.0}, 11) == 2.0);
  // A decay that would begin inside the warm-up begins after it.
  CHECK(learning_rate_at({Schedule::kWsd, 2.0, 4, 12, 0.0, 1.0}, 8) == 1.0);
}

TEST_CASE("all but the constant one fall to the final rate") {
  CHECK(rate(Schedule::kLinear, 8, 0.5) == 1.5);
  CHECK(rate(Schedule::kCosine, 8, 0.5) == Approx(1.5).epsilon(1e-15));
  CHECK(rate(Schedule::kWsd, 9, 0.5) == 1.5);
  CHECK(rate(Schedule::kConstant, 11, 0.5) == 2.0);
  for (const auto kind : {Schedule::kLinear, Schedule::kCosine, Schedule::kWsd})
    CHECK(rate(kind, 12, 0.25) == Approx(0.5).epsilon(1e-15));
}

TEST_CASE("without warm-up the first step has the peak") {
  CHECK(learning_rate_at({Schedule::kCosine, 3.0, 0, 10}, 0) == 3.0);
  CHECK(learning_rate_at({Schedule::kConstant, 3.0, 0, 1}, 0) == 3.0);
}

}  // namespace
}  // namespace bilens::schedule_test
