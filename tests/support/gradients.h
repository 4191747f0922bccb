#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

namespace bilens {

/// Random normal numbers, float64.
inline at::Tensor normal(at::IntArrayRef shape, uint64_t seed) {
  at::manual_seed(seed);
  return at::randn(shape, at::kDouble);
}

/// f(inputs) in the dtype on the device, followed by its gradients for Σ f ⊙ (fixed weights), all as float64
/// on the CPU.
template <class Function>
std::vector<at::Tensor> value_and_gradients(const Function& f, const std::vector<at::Tensor>& inputs,
                                            at::ScalarType dtype, at::Device device = at::kCPU) {
  std::vector<at::Tensor> leaves;
  for (const auto& input : inputs)
    leaves.push_back(input.detach().to(device, dtype, false, true).requires_grad_(true));
  const at::Tensor y = f(leaves);
  (y * normal(y.sizes(), 99).to(device, dtype)).sum().backward();
  const auto plain = [](const at::Tensor& t) { return t.detach().to(at::kCPU, at::kDouble); };
  std::vector<at::Tensor> all = {plain(y)};
  for (const auto& leaf : leaves) all.push_back(plain(leaf.grad()));
  return all;
}

/// The largest difference of two lists over the largest number of each entry.
inline double worst_relative(const std::vector<at::Tensor>& found, const std::vector<at::Tensor>& expected) {
  double worst = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const auto scale = expected[i].abs().max().item<double>();
    worst = std::max(worst, (found[i] - expected[i]).abs().max().item<double>() / scale);
  }
  return worst;
}

}  // namespace bilens
