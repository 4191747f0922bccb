#include "bilens/train/muon.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace bilens {

namespace {

constexpr int64_t kBatchNumbers = int64_t{16} << 20;  // 64 MiB of float32
constexpr int kIterations = 5;

bool is_tall(const at::Tensor& matrix) { return matrix.size(-2) > matrix.size(-1); }

at::Tensor lying(const at::Tensor& matrix) { return is_tall(matrix) ? matrix.mT() : matrix; }

}  // namespace

at::Tensor orthogonalized(const at::Tensor& matrices) {
  // Jordan et al.: the steepest start whose limit stays around 1.
  constexpr double a = 3.4445, b = -4.7750, c = 2.0315;
  auto x = lying(matrices).contiguous();
  x = x / (x.norm(2, {1, 2}, true) + 1e-7);
  for (int i = 0; i < kIterations; ++i) {
    const auto gram = x.bmm(x.mT());
    x = at::baddbmm(x, at::baddbmm(gram, gram, gram, b, c), x, a);
  }
  return is_tall(matrices) ? x.mT() : x;
}

Muon::Muon(const NamedTensors& parameters, const MuonConfig& config) : config_(config) {
  std::map<std::vector<int64_t>, std::vector<Batch>> by_shape;
  for (const auto& [name, parameter] : parameters) {
    auto& batches = by_shape[lying(parameter).sizes().vec()];
    const auto room = static_cast<size_t>(std::max<int64_t>(1, kBatchNumbers / parameter.numel()));
    if (batches.empty() || batches.back().size() == room) batches.emplace_back();
    batches.back().push_back(
        {name, parameter, at::zeros_like(parameter, parameter.options().dtype(config.moments))});
  }
  for (auto& [shape, batches] : by_shape)
    std::move(batches.begin(), batches.end(), std::back_inserter(batches_));
}

/// Moves the momentum on. A skipped step's gradient may hold anything, so it counts as 0, with weight 0.
at::Tensor Muon::update(Matrix& matrix, const at::Tensor& skip) const {
  const auto gradient = matrix.parameter.grad().masked_fill(skip.to(at::kBool), 0.0);
  auto momentum = matrix.momentum.to(at::kFloat);
  momentum.lerp_(gradient, (1 - config_.momentum) * (1 - skip));
  if (config_.moments != at::kFloat) matrix.momentum.copy_(momentum);
  return lying(gradient.lerp(momentum, config_.momentum));
}

void Muon::step(double learning_rate, const at::Tensor& skip) {
  const at::NoGradGuard no_grad;
  const auto taken = 1 - skip;
  for (Batch& batch : batches_) {
    std::vector<at::Tensor> updates;
    for (Matrix& matrix : batch) updates.push_back(update(matrix, skip));
    auto stacked = at::stack(updates);
    updates.clear();
    const auto product = stacked.is_cuda() ? at::kBFloat16 : at::kFloat;
    const auto size = static_cast<double>(stacked.size(2));
    stacked =
        orthogonalized(stacked.to(product)).to(at::kFloat) * (learning_rate * 0.2 * std::sqrt(size) * taken);
    for (size_t i = 0; i < batch.size(); ++i) {
      at::Tensor& parameter = batch[i].parameter;
      const auto change = stacked[static_cast<int64_t>(i)];
      parameter.mul_(1 - learning_rate * config_.weight_decay * taken);
      parameter.sub_(is_tall(parameter) ? change.mT() : change);
    }
  }
}

NamedTensors Muon::state() const {
  NamedTensors tensors;
  for (const Batch& batch : batches_) {
    for (const Matrix& matrix : batch) tensors.emplace_back("momentum." + matrix.name, matrix.momentum);
  }
  return tensors;
}

}  // namespace bilens
