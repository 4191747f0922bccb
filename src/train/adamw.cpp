#include "bilens/train/adamw.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "bilens/tensor/shape.h"

namespace bilens {

AdamW::AdamW(const NamedTensors& parameters, const AdamWConfig& config) : config_(config) {
  groups_ = {Group{config.weight_decay, {}, {}, {}, {}, {}}, Group{0.0, {}, {}, {}, {}, {}}};
  for (const auto& [name, parameter] : parameters) {
    Group& group = groups_[parameter.dim() >= 2 ? 0 : 1];
    group.names.push_back(name);
    group.parameters.push_back(parameter);
    group.first_moments.push_back(at::zeros_like(parameter));
    group.second_moments.push_back(at::zeros_like(parameter));
    group.steps.push_back(at::zeros({}, parameter.options()));
  }
  std::erase_if(groups_, [](const Group& group) { return group.parameters.empty(); });
}

std::vector<at::Tensor> AdamW::gradients(const Group& group) const {
  std::vector<at::Tensor> grads;
  for (const auto& parameter : group.parameters) grads.push_back(parameter.grad());
  return grads;
}

void AdamW::step(double learning_rate, const at::Tensor& skip) {
  const at::NoGradGuard no_grad;
  for (Group& group : groups_) {
    // The kernel leaves everything alone when skip is 1; the counts then must not advance either.
    at::_foreach_add_(group.steps, 1.0);
    at::_foreach_sub_(group.steps, std::vector<at::Tensor>(group.steps.size(), skip.squeeze()));
    at::_fused_adamw_(group.parameters, gradients(group), group.first_moments, group.second_moments, {},
                      group.steps, learning_rate, config_.beta1, config_.beta2, group.weight_decay,
                      config_.epsilon,
                      /*amsgrad=*/false, /*maximize=*/false, /*grad_scale=*/std::nullopt, skip);
  }
}

void AdamW::zero_grad() {
  for (Group& group : groups_) {
    for (auto& parameter : group.parameters) parameter.mutable_grad().reset();
  }
}

at::Tensor AdamW::clip_gradients(double max_norm) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> norms;
  for (const Group& group : groups_) {
    for (auto& norm : at::_foreach_norm(gradients(group))) norms.push_back(norm);
  }
  const auto norm = at::stack(norms).norm();
  if (max_norm > 0) {
    const auto scale = (max_norm / (norm + 1e-6)).clamp_max(1.0);
    for (const Group& group : groups_) at::_foreach_mul_(gradients(group), scale);
  }
  return norm;
}

NamedTensors AdamW::state() const {
  NamedTensors tensors;
  for (const Group& group : groups_) {
    for (size_t i = 0; i < group.names.size(); ++i) {
      tensors.emplace_back("exp_avg." + group.names[i], group.first_moments[i]);
      tensors.emplace_back("exp_avg_sq." + group.names[i], group.second_moments[i]);
      tensors.emplace_back("step." + group.names[i], group.steps[i]);
    }
  }
  return tensors;
}

void AdamW::load_state(const SafetensorsFile& file) {
  for (auto& [name, tensor] : state()) {
    const auto stored = file.tensor(name);
    require_shape(stored, tensor.sizes(), file.path().string() + ": " + name);
    tensor.copy_(stored);
  }
}

}  // namespace bilens
