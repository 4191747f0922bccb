#include "bilens/train/schedule.h"

#include "catch.h"

namespace bilens {
namespace {

double rate(Schedule schedule, int64_t step) { return learning_rate_at(schedule, 2.0, step, 4, 12); }

TEST_CASE("warm-up is linear and ends at the peak") {
  for (const auto schedule : {Schedule::kConstant, Schedule::kCosine}) {
    CHECK(rate(schedule, 0) == 0.5);
    CHECK(rate(schedule, 1) == 1.0);
    CHECK(rate(schedule, 3) == 2.0);
    CHECK(rate(schedule, 4) == 2.0);
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

TEST_CASE("without warm-up the first step has the peak") {
  CHECK(learning_rate_at(Schedule::kCosine, 3.0, 0, 0, 10) == 3.0);
  CHECK(learning_rate_at(Schedule::kConstant, 3.0, 0, 0, 1) == 3.0);
}

}  // namespace
}  // namespace bilens
