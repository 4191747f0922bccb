#include "bilens/train/sharded_gradients.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <bit>
#include <mutex>
#include <utility>
#include <vector>

#include "bilens/tensor/on_threads.h"

namespace bilens {

namespace {

constexpr int64_t kLargestCopies = int64_t{512} << 20;
constexpr int64_t kMostShards = 16;
constexpr int64_t kFewestShards = 4;    // so many processes then give the bits of one
constexpr int64_t kFewestTokens = 512;  // of a shard: with half as many a thread is a fifth slower

int64_t power_of_two_within(int64_t number) {
  return static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(std::max<int64_t>(number, 1))));
}

/// The gradients of a shard, or of a part of the tree, and its loss behind them.
using Part = std::vector<at::Tensor>;

/// The sum of parts as a binary tree over their numbers. Each goes up as soon as the other side of its node
/// is there, so that few are held.
class TreeSum {
 public:
  /// @param leaves a power of two
  explicit TreeSum(int64_t leaves) : leaves_(leaves), nodes_(static_cast<size_t>(2 * leaves)) {}

  /// Called on several threads.
  void add(int64_t leaf, Part part) {
    const at::NoGradGuard no_grad;
    int64_t node = leaves_ + leaf;
    for (; node > 1; node /= 2) {
      const auto other = other_side(node, part);
      if (other.empty()) return;
      for (size_t i = 0; i < part.size(); ++i) part[i].add_(other[i]);
    }
    nodes_[1] = std::move(part);
  }

  const Part& sum() const { return nodes_[1]; }

 private:
  /// What is there on the node's other side; nothing: the part waits for it.
  Part other_side(int64_t node, Part& part) {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto other = std::exchange(nodes_[node ^ 1], {});
    if (other.empty()) nodes_[node] = std::move(part);
    return other;
  }

  int64_t leaves_;
  std::vector<Part> nodes_;
  std::mutex mutex_;
};

using Loss = std::function<at::Tensor(int64_t begin, int64_t end)>;

at::Tensor zeros_for(const at::Tensor& leaf) {
  return at::zeros_like(leaf, leaf.options().requires_grad(false));
}

at::Tensor in_turn(const std::vector<at::Tensor>& leaves, const BatchShards& shards, const Loss& loss) {
  const auto device = leaves.front().device();
  auto sum = at::zeros({}, at::device(device).dtype(at::kFloat));
  for (int64_t shard = shards.first; shard < shards.last; ++shard) {
    const int64_t begin = shards.begin(shard), end = shards.begin(shard + 1);
    if (begin == end) continue;
    const auto own = loss(begin, end);
    own.backward();
    sum = sum + own.detach();
  }
  for (const auto& leaf : leaves) {
    auto& gradient = leaf.mutable_grad();
    if (!gradient.defined()) gradient = zeros_for(leaf);
  }
  return sum;
}

/// Copies that so many threads hold: a part each, and those that wait for their other side.
int64_t copies_of(const BatchShards& shards, int64_t threads) {
  const int64_t own = shards.last - shards.first;
  return std::min<int64_t>(own, threads + std::bit_width(static_cast<uint64_t>(own)) - 1);
}

}  // namespace

BatchShards cut_batch(at::Device device, int64_t bytes, int64_t rows, int64_t tokens, int64_t rows_at_once,
                      int64_t rank, int64_t ranks) {
  const int64_t copies = std::min(kMostShards, kLargestCopies / std::max<int64_t>(bytes, 1));
  const int64_t worthwhile = std::max(kFewestShards, rows * tokens / kFewestTokens);
  const int64_t wanted = power_of_two_within(std::min({rows, copies, worthwhile}));
  const auto of_each = [&](int64_t each) {
    return BatchShards{rows, each * ranks, each * rank, each * (rank + 1), 0};
  };
  const auto largest = [&](int64_t each) { return (rows + each * ranks - 1) / (each * ranks); };
  int64_t each = power_of_two_within(wanted / ranks);
  // Where few rows may be in work at a time, shards are so small that some threads work all the same.
  const int64_t threads = std::clamp(rows_at_once * tokens / kFewestTokens, kFewestShards, kMostShards);
  const int64_t most = rows_at_once < rows ? std::max<int64_t>(1, rows_at_once / threads) : rows;
  while (largest(each) > most) each *= 2;
  auto shards = of_each(each);
  const bool fits = bytes * std::bit_width(static_cast<uint64_t>(shards.count)) <= kLargestCopies;
  if (!device.is_cpu() || wanted == 1 || !fits)
    return of_each((largest(1) + rows_at_once - 1) / rows_at_once);
  shards.at_once = std::clamp<int64_t>(rows_at_once / largest(each), 1, kMostShards);
  while (shards.at_once > 1 && bytes * copies_of(shards, shards.at_once) > kLargestCopies)
    shards.at_once /= 2;
  return shards;
}

int64_t gradient_copies(const BatchShards& shards) {
  if (shards.at_once == 0) return 1;
  return copies_of(shards, std::min<int64_t>(shards.at_once, at::get_num_threads()));
}

at::Tensor add_gradients(const NamedTensors& parameters, const BatchShards& shards, const Loss& loss) {
  std::vector<at::Tensor> leaves;
  for (const auto& [name, parameter] : parameters) leaves.push_back(parameter);
  if (shards.at_once == 0) return in_turn(leaves, shards, loss);
  const int64_t own = shards.last - shards.first;
  TreeSum tree(own);
  // In their order, so that few sums wait for their other side.
  on_threads(own, std::min<int64_t>(shards.at_once, at::get_num_threads()), [&](int64_t i) {
    const at::AutoGradMode with_gradients(true);  // a setting of each thread
    const int64_t begin = shards.begin(shards.first + i), end = shards.begin(shards.first + i + 1);
    Part part;
    if (begin == end) {
      for (const auto& leaf : leaves) part.push_back(zeros_for(leaf));
      part.push_back(at::zeros({}, at::kFloat));
    } else {
      const auto sum = loss(begin, end);
      part = torch::autograd::grad({sum}, leaves);
      part.push_back(sum.detach());
    }
    tree.add(i, std::move(part));
  });
  const at::NoGradGuard no_grad;
  for (size_t p = 0; p < leaves.size(); ++p) {
    auto& sum = leaves[p].mutable_grad();
    sum.defined() ? sum.add_(tree.sum()[p]) : sum = tree.sum()[p];
  }
  return tree.sum().back();
}

}  // namespace bilens
