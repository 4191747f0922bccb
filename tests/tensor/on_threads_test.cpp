// Work on threads: each number once, with the caller's host, and an error ends it.
#include "bilens/tensor/on_threads.h"

#include <ATen/Parallel.h>

#include <atomic>
#include <vector>

#include "bilens/core/host.h"
#include "bilens/core/stop.h"
#include "catch.h"

namespace bilens::on_threads_test {
namespace {

struct SilentHost : Host {
  void log(LogLevel, const std::string&) override {}
  void progress(const ProgressState&) override {}
  bool stop_requested() override { return false; }
};

TEST_CASE("each number is worked on once, and every thread has the caller's host") {
  SilentHost host;
  const HostScope scope(&host);
  for (const int64_t threads : {1, 2, 7}) {
    std::vector<int> times(100, 0);
    std::atomic<int> others = 0;
    on_threads(100, threads, [&](int64_t i) {
      ++times[i];
      if (current_host() != &host) ++others;
    });
    CHECK(times == std::vector<int>(100, 1));
    CHECK(others == 0);
  }
  on_threads(0, 2, [](int64_t) { FAIL("there is no work"); });
}

TEST_CASE("what work throws reaches the caller, and no more is begun") {
  std::atomic<int64_t> begun = 0;
  const auto work = [&](int64_t i) {
    ++begun;
    if (i == 3) throw Stopped{};
  };
  CHECK_THROWS_AS(on_threads(1'000'000, 2, work), Stopped);
  CHECK(begun < 1'000'000);
}

}  // namespace
}  // namespace bilens::on_threads_test
