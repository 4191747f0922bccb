#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace bilens {

/// The threads of one parallel region, who wait for each other. They spin, since the next part comes within
/// microseconds, and give their core away only if that takes long, as when others want it.
class ThreadTeam {
 public:
  explicit ThreadTeam(int64_t places) : places_(places) {}

  /// Takes a share of the places; how many threads there are is known when all are taken.
  int64_t join(int64_t places) {
    const int64_t index = size_.fetch_add(1, std::memory_order_relaxed);
    taken_.fetch_add(places, std::memory_order_acq_rel);
    spin_until([&] { return taken_.load(std::memory_order_acquire) == places_; });
    return index;
  }
  int64_t size() const { return size_.load(std::memory_order_relaxed); }

  /// Returns when all have called it.
  void meet() {
    const int64_t round = round_.load(std::memory_order_relaxed);
    if (here_.fetch_add(1, std::memory_order_acq_rel) + 1 == size()) {
      here_.store(0, std::memory_order_relaxed);
      round_.store(round + 1, std::memory_order_release);
    } else {
      spin_until([&] { return round_.load(std::memory_order_acquire) != round; });
    }
  }

 private:
  template <class Condition>
  static void spin_until(const Condition& holds) {
    for (int tries = 0; !holds(); ++tries) {
      if (tries > 10000) std::this_thread::yield();
    }
  }

  const int64_t places_;
  std::atomic<int64_t> size_ = 0, taken_ = 0, here_ = 0, round_ = 0;
};

/// Some rows of a weight.
struct RowRange {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

}  // namespace bilens
