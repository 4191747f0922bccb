#pragma once

#include <cstdint>
#include <filesystem>

namespace bilens {

/// Bytes of main memory that can be taken without swapping (MemAvailable of Linux, or the control group's
/// limit where that is smaller).
int64_t available_memory();

/// The largest resident size that this process has had so far, in bytes (VmHWM).
int64_t peak_memory();

constexpr int64_t kKeptMemory = int64_t{256} << 20;

/// Lets the process keep up to kKeptMemory that it freed for what it needs next: fresh pages cost as much as
/// filling them, and a step's tensors are like those of the step before. For the start of a program; glibc
/// only.
void keep_freed_memory();

/// Keeps freed memory during one job in a process of somebody else. Behind it the process keeps less of it:
/// as much as glibc comes to keep by itself where blocks of 32 MB are freed.
class KeptMemoryScope {
 public:
  KeptMemoryScope() { keep_freed_memory(); }
  ~KeptMemoryScope();
  KeptMemoryScope(const KeptMemoryScope&) = delete;
  KeptMemoryScope& operator=(const KeptMemoryScope&) = delete;
};

/// Bytes free for us on the disk that holds `path` or its nearest existing parent.
int64_t free_disk(std::filesystem::path path);

}  // namespace bilens
