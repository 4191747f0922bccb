#include "bilens/train/sharded_gradients.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <exception>
#include <vector>

namespace bilens {

namespace {
constexpr int64_t kLargestCopies = int64_t{512} << 20;
}  // namespace

int64_t count_shards(const NamedTensors& parameters, int64_t rows) {
  int64_t bytes = 0;
  for (const auto& [name, parameter] : parameters) bytes += static_cast<int64_t>(parameter.nbytes());
  return count_shards(parameters.front().second.device(), bytes, rows);
}

int64_t count_shards(at::Device device, int64_t bytes, int64_t rows) {
  if (!device.is_cpu()) return 1;
  const int64_t shards = std::min<int64_t>(at::get_num_threads(), rows);
  return bytes * shards <= kLargestCopies ? std::max<int64_t>(1, shards) : 1;
}

at::Tensor add_gradients(const NamedTensors& parameters, int64_t rows, int64_t shards,
                         const std::function<at::Tensor(int64_t begin, int64_t end)>& loss) {
  if (shards == 1) {
    const auto sum = loss(0, rows);
    sum.backward();
    return sum.detach();
  }
  std::vector<at::Tensor> leaves;
  for (const auto& [name, parameter] : parameters) leaves.push_back(parameter);
  std::vector<std::vector<at::Tensor>> gradients(static_cast<size_t>(shards));
  std::vector<at::Tensor> losses(static_cast<size_t>(shards));
  std::vector<std::exception_ptr> failures(static_cast<size_t>(shards));
  at::parallel_for(0, shards, 1, [&](int64_t first, int64_t last) {
    const at::AutoGradMode with_gradients(true);  // a setting of each thread
    for (int64_t i = first; i < last; ++i) {
      try {
        const auto sum = loss(rows * i / shards, rows * (i + 1) / shards);
        gradients[i] = torch::autograd::grad({sum}, leaves);
        losses[i] = sum.detach();
      } catch (...) {
        failures[i] = std::current_exception();
      }
    }
  });
  for (const auto& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  const at::NoGradGuard no_grad;
  for (int64_t i = 0; i < shards; ++i) {
    for (size_t p = 0; p < leaves.size(); ++p) {
      auto& sum = leaves[p].mutable_grad();
      sum.defined() ? sum.add_(gradients[i][p]) : sum = gradients[i][p];
    }
  }
  for (int64_t i = 1; i < shards; ++i) losses[0] = losses[0] + losses[i];
  return losses[0];
}

}  // namespace bilens
