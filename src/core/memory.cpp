#include "bilens/core/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace bilens {

namespace {

constexpr int kLargestThreshold = 32 << 20;  // of glibc, above which a block is mapped by itself

/// "Name:   123 kB" lines of /proc, in bytes.
int64_t proc_bytes(const char* file, const std::string& name) {
  std::ifstream stream(file);
  std::string word;
  int64_t kilobytes = 0;
  while (stream >> word) {
    if (word == name && stream >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

int64_t number_in(const char* file) {
  std::ifstream stream(file);
  int64_t value = -1;
  return stream >> value ? value : -1;
}

}  // namespace

int64_t available_memory() {
  int64_t available = proc_bytes("/proc/meminfo", "MemAvailable:");
  if (available == 0) available = std::numeric_limits<int64_t>::max();
  const int64_t limit = number_in("/sys/fs/cgroup/memory.max");
  const int64_t used = number_in("/sys/fs/cgroup/memory.current");
  if (limit > 0 && used >= 0) available = std::min(available, std::max<int64_t>(0, limit - used));
  return available;
}

int64_t peak_memory() { return proc_bytes("/proc/self/status", "VmHWM:"); }

void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, kLargestThreshold);
  mallopt(M_TRIM_THRESHOLD, kKeptMemory);
#endif
}

KeptMemoryScope::~KeptMemoryScope() {
#ifdef __GLIBC__
  mallopt(M_TRIM_THRESHOLD, 2 * kLargestThreshold);
#endif
}

int64_t free_disk(std::filesystem::path path) {
  std::error_code error;
  path = std::filesystem::absolute(path, error);
  while (!std::filesystem::exists(path, error) && path.has_relative_path()) path = path.parent_path();
  const auto space = std::filesystem::space(path, error);
  return error ? 0 : static_cast<int64_t>(space.available);
}

}  // namespace bilens
