#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace bilens {

/// Where the rows of a batch begin in a stream, and how many tokens each takes.
struct WindowBatch {
  std::vector<int64_t> begins;
  int64_t window = 0;
};

/// How many windows fit into so many tokens; one at least.
inline int64_t windows_within(int64_t tokens, int64_t context) {
  return tokens < context ? 1 : tokens / context;
}

/// Consecutive windows of `context` tokens, `batch_size` at a time; a last, shorter window stands alone and
/// is kept when it has at least 2 tokens. Tokens 2 ... n of each window are predicted.
std::vector<WindowBatch> evaluation_windows(int64_t tokens, int64_t context, int64_t batch_size);

/// The windows that training sees, as a pure function of the seed and the step: context + 1 tokens each, the
/// last of one the first of the next, so that every token is predicted once an epoch. Each epoch is a
/// permutation of its own, and cuts at another place.
class TrainingWindows {
 public:
  /// @throws Error(kBadInput) when there are fewer than context + 1 tokens. @param where names the data
  TrainingWindows(int64_t tokens, int64_t context, int64_t batch_size, uint64_t seed,
                  const std::string& where);

  /// @param step counted from 0; a batch may reach into the next epoch
  WindowBatch batch(int64_t step);

  int64_t windows_per_epoch() const { return windows_; }

 private:
  void shuffle(int64_t epoch);

  int64_t tokens_, context_, batch_size_, windows_;
  uint64_t seed_;
  int64_t epoch_ = -1, offset_ = 0;
  at::Tensor order_;  // int64 [windows_], the permutation of epoch_
};

}  // namespace bilens
