#pragma once

#include <chrono>
#include <utility>

namespace bilens {

/// Measures what parts of a job take. Work on a GPU counts where its result is waited for.
class Stopwatch {
 public:
  /// Since its start or its last lap.
  double seconds() const { return seconds_between(last_, Clock::now()); }

  /// Adds the seconds since its start or its last lap, and starts again.
  void lap(double& sum) {
    const auto now = Clock::now();
    sum += seconds_between(std::exchange(last_, now), now);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static double seconds_between(Clock::time_point begin, Clock::time_point end) {
    return std::chrono::duration<double>(end - begin).count();
  }

  Clock::time_point last_ = Clock::now();
};

}  // namespace bilens
