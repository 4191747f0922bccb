#include "bilens/train/loss_spikes.h"

#include <cmath>
#include <utility>

#include "catch.h"

namespace bilens::loss_spikes_test {
namespace {

/// A falling loss with a ripple of ±0.1.
double ripple(int64_t step) { return 5.0 - 0.001 * static_cast<double>(step) + (step % 2 == 0 ? 0.1 : -0.1); }

TEST_CASE("a jump far outside the ripple is a spike, the ripple is none") {
  LossSpikes spikes;
  for (int64_t step = 0; step < 200; ++step) CHECK_FALSE(spikes.add(ripple(step)));
  CHECK_FALSE(spikes.add(ripple(200) + 0.3));  // less than six deviations of 0.1
  CHECK(spikes.add(ripple(201) + 2.0));
  CHECK(spikes.count() == 1);
  for (int64_t step = 202; step < 260; ++step) CHECK_FALSE(spikes.add(ripple(step)));
}

TEST_CASE("a spike is more than six standard deviations above the mean") {
  LossSpikes spikes;
  for (int64_t step = 0; step < 200; ++step) spikes.add(ripple(step));
  const double mean = spikes.state().mean, deviation = std::sqrt(spikes.state().variance);
  REQUIRE(deviation > 0.05);
  for (const auto& [times, spike] : {std::pair(5.99, false), std::pair(6.01, true)})
    CHECK(LossSpikes(spikes).add(mean + times * deviation) == spike);
}

TEST_CASE("nothing is a spike before there is anything to compare with") {
  LossSpikes spikes;
  for (int64_t step = 0; step < 50; ++step) CHECK_FALSE(spikes.add(step == 25 ? 100.0 : 1.0));
  CHECK_FALSE(spikes.add(NAN));
  CHECK_FALSE(spikes.add(INFINITY));
  CHECK(spikes.count() == 0);
}

TEST_CASE("a loss that stays high becomes the normal one") {
  LossSpikes spikes;
  for (int64_t step = 0; step < 100; ++step) spikes.add(ripple(step));
  int64_t last = -1;
  for (int64_t step = 0; step < 100; ++step) {
    if (spikes.add(8.0)) last = step;
  }
  CHECK(last >= 0);
  CHECK(last < 50);
}

TEST_CASE("its state continues where it was") {
  LossSpikes whole, resumed;
  for (int64_t step = 0; step < 120; ++step) whole.add(ripple(step));
  for (int64_t step = 0; step < 80; ++step) resumed.add(ripple(step));
  LossSpikes other;
  other.load(resumed.state());
  for (int64_t step = 80; step < 120; ++step) other.add(ripple(step));
  const auto same = [](const LossSpikeState& a, const LossSpikeState& b) {
    return a.mean == b.mean && a.variance == b.variance && a.steps == b.steps && a.count == b.count;
  };
  CHECK(same(other.state(), whole.state()));
  other.load(LossSpikeState{NAN, 1, 60, 2});
  CHECK(same(other.state(), {}));
  other.load(whole.state());
  other.load({});
  CHECK(same(other.state(), {}));
}

}  // namespace
}  // namespace bilens::loss_spikes_test
