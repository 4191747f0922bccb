#include "bilens/tensor/on_threads.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>

#include "bilens/core/host.h"

namespace bilens {

void on_threads(int64_t count, int64_t threads, const std::function<void(int64_t)>& work) {
  Host* const host = current_host();
  std::atomic<int64_t> next = 0;
  at::parallel_for(0, std::min(count, threads), 1, [&](int64_t, int64_t) {
    const HostScope scope(host);
    try {
      for (int64_t i = next++; i < count; i = next++) work(i);
    } catch (...) {
      next = count;
      throw;
    }
  });
}

}  // namespace bilens
