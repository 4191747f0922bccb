#include "bilens/core/processor_quota.h"

#include <string>

#include "catch.h"
#include "temporary_folder.h"

namespace bilens::processor_quota_test {
namespace {

/// A machine whose process is in these groups.
class Machine {
 public:
  explicit Machine(const std::string& groups) { test::write_file(folder_ / "proc/self/cgroup", groups); }

  void put(const std::string& file, const std::string& text) {
    test::write_file(folder_ / ("sys/fs/cgroup/" + file), text);
  }

  std::optional<double> quota() const { return processor_quota(folder_.path()); }

 private:
  test::TemporaryFolder folder_;
};

TEST_CASE("the quota is the least of a control group and those above it") {
  Machine machine("0::/jobs/mine\n");
  CHECK_FALSE(machine.quota());
  machine.put("cpu.max", "max 100000\n");
  CHECK_FALSE(machine.quota());
  machine.put("jobs/mine/cpu.max", "400000 100000\n");
  CHECK(machine.quota() == 4.0);
  machine.put("jobs/cpu.max", "150000 100000\n");
  CHECK(machine.quota() == 1.5);
}

TEST_CASE("a container's quota is found at the root of what it sees") {
  Machine machine("0::/not/mounted/here\n");
  machine.put("cpu.max", "200000 100000\n");
  CHECK(machine.quota() == 2.0);
}

TEST_CASE("control groups of version 1 have quotas too") {
  Machine machine("9:name=systemd:/\n4:cpu,cpuacct:/jobs\n3:cpuset:/\n0::/\n");
  machine.put("cpu/cpu.cfs_quota_us", "-1\n");
  machine.put("cpu/cpu.cfs_period_us", "100000\n");
  CHECK_FALSE(machine.quota());
  machine.put("cpu/jobs/cpu.cfs_quota_us", "50000\n");
  machine.put("cpu/jobs/cpu.cfs_period_us", "100000\n");
  CHECK(machine.quota() == 0.5);
}

TEST_CASE("files that hold no quota are passed over") {
  Machine machine("nonsense\n0::/a\n");
  for (const auto* text : {"", "many", "-5 100000", "100000 0", "100000"}) {
    INFO(text);
    machine.put("a/cpu.max", text);
    CHECK_FALSE(machine.quota());
  }
}

}  // namespace
}  // namespace bilens::processor_quota_test
