#include "bilens/core/host.h"

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "bilens/core/log.h"
#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "catch.h"

namespace bilens::host_test {
namespace {

struct Recorder : Host {
  std::vector<std::string> lines;
  std::vector<ProgressState> states;
  bool stop = false;

  void log(LogLevel level, const std::string& message) override {
    lines.push_back(std::to_string(static_cast<int>(level)) + message);
  }
  void progress(const ProgressState& state) override { states.push_back(state); }
  bool stop_requested() override { return stop; }
};

}  // namespace

TEST_CASE("a thread's host takes its log, its progress and its stop, and no other thread's") {
  Recorder host;
  {
    const HostScope scope(&host);
    log_warning("careful");
    log_debug("detail");
    CHECK_FALSE(stop_requested());
    host.stop = true;
    CHECK(stop_requested());
    std::thread([] {
      CHECK(current_host() == nullptr);
      CHECK_FALSE(stop_requested());
    }).join();
    {
      const HostScope inner(nullptr);
      CHECK_FALSE(stop_requested());
    }
    CHECK(current_host() == &host);
  }
  CHECK(current_host() == nullptr);
  CHECK_FALSE(stop_requested());
  CHECK(host.lines == std::vector<std::string>{"2careful", "0detail"});
}

TEST_CASE("progress reaches the host that was there when it began, and ends once") {
  Recorder host;
  {
    const HostScope scope(&host);
    Progress progress("work", 10, "steps", 4);
    progress.advance(1, "loss 2");
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    progress.advance(2);
  }
  REQUIRE(host.states.size() == 2);
  CHECK(host.states[0].label == "work");
  CHECK(host.states[0].note == "loss 2");
  CHECK(host.states[0].done == 7);
  CHECK_FALSE(host.states[0].finished);
  CHECK(host.states[1].done == 7);
  CHECK(host.states[1].total == 10);
  CHECK(host.states[1].finished);
}

}  // namespace bilens::host_test
