#include "bilens/data/token_windows.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/core/error.h"
#include "bilens/tensor/random.h"

namespace bilens {

std::vector<WindowBatch> evaluation_windows(int64_t tokens, int64_t context, int64_t batch_size) {
  std::vector<WindowBatch> batches;
  for (int64_t begin = 0; begin + 2 <= tokens; begin += context) {
    const int64_t window = std::min(context, tokens - begin);
    const bool joins = !batches.empty() && batches.back().window == window &&
                       static_cast<int64_t>(batches.back().begins.size()) < batch_size;
    if (!joins) batches.push_back({{}, window});
    batches.back().begins.push_back(begin);
  }
  return batches;
}

TrainingWindows::TrainingWindows(int64_t tokens, int64_t context, int64_t batch_size, uint64_t seed,
                                 const std::string& where)
    : tokens_(tokens),
      context_(context),
      batch_size_(batch_size),
      windows_((tokens - 1) / context),
      seed_(seed) {
  if (windows_ < 1) {
    throw Error(ExitCode::kBadInput,
                {where, "at least one sequence, " + std::to_string(context + 1) + " tokens",
                 std::to_string(tokens), "Use a longer text or a smaller context."});
  }
}

void TrainingWindows::shuffle(int64_t epoch) {
  const auto index = static_cast<uint64_t>(epoch);
  order_ = at::randperm(windows_, make_generator(at::kCPU, derive_seed(seed_, "windows", index)), at::kLong);
  const int64_t left_over = tokens_ - 1 - windows_ * context_;
  offset_ = static_cast<int64_t>(derive_seed(seed_, "offset", index) % static_cast<uint64_t>(left_over + 1));
  epoch_ = epoch;
}

WindowBatch TrainingWindows::batch(int64_t step) {
  WindowBatch batch{{}, context_ + 1};
  for (int64_t i = step * batch_size_; i < (step + 1) * batch_size_; ++i) {
    if (i / windows_ != epoch_) shuffle(i / windows_);
    batch.begins.push_back(offset_ + order_.const_data_ptr<int64_t>()[i % windows_] * context_);
  }
  return batch;
}

}  // namespace bilens
