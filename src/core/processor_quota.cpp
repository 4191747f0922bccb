#include "bilens/core/processor_quota.h"

#include <algorithm>
#include <fstream>
#include <string>

namespace bilens {

namespace {

namespace fs = std::filesystem;

/// Processors that a group of version 2 may use. Its file says "max 100000" where there is no quota, else
/// microseconds of each period.
std::optional<double> quota_of_unified(const fs::path& group) {
  std::ifstream file(group / "cpu.max");
  double quota = 0, period = 0;
  if (file >> quota >> period && quota > 0 && period > 0) return quota / period;
  return {};
}

/// Processors that a group of version 1 may use: -1 stands for no quota.
std::optional<double> quota_of_cpu_controller(const fs::path& group) {
  std::ifstream quota_file(group / "cpu.cfs_quota_us"), period_file(group / "cpu.cfs_period_us");
  double quota = 0, period = 0;
  if (quota_file >> quota && period_file >> period && quota > 0 && period > 0) return quota / period;
  return {};
}

/// Whether a controller stands in a list such as "cpu,cpuacct".
bool names_cpu(const std::string& controllers) {
  return ("," + controllers + ",").find(",cpu,") != std::string::npos;
}

/// The least quota from a group up to the root of its hierarchy. In a container the group's own folder may
/// not be there: then the root is the container's.
template <class Read>
void take_least(const fs::path& hierarchy, fs::path group, const Read& read, std::optional<double>& least) {
  for (group = group.relative_path();; group = group.parent_path()) {
    const auto quota = read(hierarchy / group);
    if (quota) least = std::min(least.value_or(*quota), *quota);
    if (group.empty()) return;
  }
}

}  // namespace

std::optional<double> processor_quota(const fs::path& root) {
  std::optional<double> quota;
  std::ifstream groups(root / "proc/self/cgroup");  // lines "0::/path", or "4:cpu,cpuacct:/path"
  for (std::string line; std::getline(groups, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const auto controllers = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
    if (controllers.empty()) take_least(root / "sys/fs/cgroup", group, quota_of_unified, quota);
    if (names_cpu(controllers)) take_least(root / "sys/fs/cgroup/cpu", group, quota_of_cpu_controller, quota);
  }
  return quota;
}

}  // namespace bilens
