#include <ATen/Parallel.h>

#include <mutex>
#include <set>
#include <thread>

#include "catch.h"

TEST_CASE("at::parallel_for uses several threads, which it does only in code compiled with OpenMP") {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  std::mutex mutex;
  std::set<std::thread::id> seen;
  at::parallel_for(0, 2, 1, [&](int64_t, int64_t) {
    const std::lock_guard<std::mutex> lock(mutex);
    seen.insert(std::this_thread::get_id());
  });
  at::set_num_threads(before);
  CHECK(seen.size() == 2);
}
