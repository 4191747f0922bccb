#include "bilens/train/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "bilens/tensor/shape.h"

namespace bilens {

bool is_hidden_matrix(const std::string& name, at::IntArrayRef shape) {
  return shape.size() == 2 && name != "model.embed_tokens.weight" && name != "lm_head.weight";
}

namespace {
bool goes_by_muon(const std::string& name, at::IntArrayRef shape, const OptimizerConfig& config) {
  return config.algorithm == Algorithm::kMuon && is_hidden_matrix(name, shape);
}
}  // namespace

int64_t moment_bytes(const std::string& name, at::IntArrayRef shape, const OptimizerConfig& config) {
  const int64_t moments = goes_by_muon(name, shape, config) ? 1 : 2;
  return moments * c10::multiply_integers(shape) *
         static_cast<int64_t>(c10::elementSize(config.adamw.moments));
}

Optimizer::Optimizer(const NamedTensors& parameters, const OptimizerConfig& config) {
  NamedTensors hidden, rest;
  for (const auto& item : parameters) {
    parameters_.push_back(item.second);
    (goes_by_muon(item.first, item.second.sizes(), config) ? hidden : rest).push_back(item);
  }
  if (!hidden.empty())
    muon_.emplace(hidden,
                  MuonConfig{.weight_decay = config.adamw.weight_decay, .moments = config.adamw.moments});
  if (!rest.empty()) adamw_.emplace(rest, config.adamw);
}

void Optimizer::step(double learning_rate, const at::Tensor& skip, int64_t number) {
  if (muon_) muon_->step(learning_rate, skip);
  if (adamw_) adamw_->step(learning_rate, skip, number);
}

void Optimizer::zero_grad() {
  for (auto& parameter : parameters_) parameter.mutable_grad().reset();
}

std::vector<at::Tensor> Optimizer::gradients() const {
  std::vector<at::Tensor> grads;
  for (const auto& parameter : parameters_) grads.push_back(parameter.grad());
  return grads;
}

at::Tensor Optimizer::clip_gradients(double max_norm) {
  const at::NoGradGuard no_grad;
  const auto norm = at::stack(at::_foreach_norm(gradients())).norm();
  if (max_norm > 0) at::_foreach_mul_(gradients(), (max_norm / (norm + 1e-6)).clamp_max(1.0));
  return norm;
}

NamedTensors Optimizer::state() const {
  NamedTensors tensors = muon_ ? muon_->state() : NamedTensors{};
  if (adamw_) {
    for (auto& item : adamw_->state()) tensors.push_back(std::move(item));
  }
  return tensors;
}

void Optimizer::load_state(const SafetensorsFile& file) {
  for (auto& [name, tensor] : state()) {
    const auto stored = file.tensor(name);
    require_shape(stored, tensor.sizes(), file.path().string() + ": " + name);
    tensor.copy_(stored);
  }
}

}  // namespace bilens
