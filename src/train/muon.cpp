#include "bilens/train/muon.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "bilens/records/optimizer_state.h"

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
    if (batches.empty() || batches.back().names.size() == room) batches.emplace_back();
    batches.back().names.push_back(name);
    batches.back().parameters.push_back(parameter);
  }
  for (auto& [shape, batches] : by_shape) {
    for (Batch& batch : batches) {
      const auto count = static_cast<int64_t>(batch.names.size());
      batch.momentum =
          at::zeros({count, shape[0], shape[1]}, batch.parameters[0].options().dtype(config.moments));
      batches_.push_back(std::move(batch));
    }
  }
}

/// Moves the momenta on. A skipped step's gradients may hold anything, so they count as 0, with weight 0.
at::Tensor Muon::update(Batch& batch, const at::Tensor& skip) const {
  std::vector<at::Tensor> gradients;
  for (const auto& parameter : batch.parameters) gradients.push_back(lying(parameter.grad()));
  auto gradient = at::stack(gradients);
  gradients.clear();
  gradient.masked_fill_(skip.to(at::kBool), 0.0);
  auto momentum = batch.momentum.to(at::kFloat);
  momentum.lerp_(gradient, (1 - config_.momentum) * (1 - skip));
  if (config_.moments != at::kFloat) batch.momentum.copy_(momentum);
  return gradient.lerp_(momentum, config_.momentum);
}

void Muon::step(double learning_rate, const at::Tensor& skip) {
  const at::NoGradGuard no_grad;
  const auto taken = (1 - skip).squeeze();
  const auto kept = 1 - learning_rate * config_.weight_decay * taken;
  for (Batch& batch : batches_) {
    auto changes = update(batch, skip);
    const auto product = changes.is_cuda() ? at::kBFloat16 : at::kFloat;
    const auto size = static_cast<double>(changes.size(2));
    changes =
        orthogonalized(changes.to(product)).to(at::kFloat) * (learning_rate * 0.2 * std::sqrt(size) * taken);
    if (config_.weight_decay != 0) at::_foreach_mul_(batch.parameters, kept);
    for (size_t i = 0; i < batch.parameters.size(); ++i) {
      at::Tensor& parameter = batch.parameters[i];
      const auto change = changes[static_cast<int64_t>(i)];
      parameter.sub_(is_tall(parameter) ? change.mT() : change);
    }
  }
}

NamedTensors Muon::state() const {
  NamedTensors tensors;
  for (const Batch& batch : batches_) {
    for (size_t i = 0; i < batch.names.size(); ++i) {
      const auto momentum = batch.momentum[static_cast<int64_t>(i)];
      const MuonState state{is_tall(batch.parameters[i]) ? momentum.mT() : momentum};
      add_state(tensors, state, batch.names[i]);
    }
  }
  return tensors;
}

}  // namespace bilens
