#include "bilens/train/adamw.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "bilens/records/optimizer_state.h"
#include "bilens/tensor/random.h"

namespace bilens {

namespace {

/// What is lost of the lower 16 bits becomes the probability of being rounded up, so that the mean is exact.
void round_at_random(const at::Tensor& values, at::Tensor& rounded, uint64_t seed) {
  const auto bits = values.view(at::kInt);
  const auto noise = at::randint(0x10000, bits.sizes(), make_generator(bits.device(), seed), bits.options());
  rounded.copy_((bits + noise).bitwise_and(~0xFFFF).view(at::kFloat));
}

}  // namespace

AdamW::AdamW(const NamedTensors& parameters, const AdamWConfig& config) : config_(config) {
  groups_ = {Group{config.weight_decay, {}, {}, {}, {}, {}}, Group{0.0, {}, {}, {}, {}, {}}};
  for (const auto& [name, parameter] : parameters) {
    Group& group = groups_[parameter.dim() >= 2 ? 0 : 1];
    group.names.push_back(name);
    group.parameters.push_back(parameter);
    for (auto* moments : {&group.first_moments, &group.second_moments})
      moments->push_back(at::zeros_like(parameter, parameter.options().dtype(config.moments)));
    group.steps.push_back(at::zeros({}, parameter.options()));
  }
  std::erase_if(groups_, [](const Group& group) { return group.parameters.empty(); });
}

std::vector<at::Tensor> AdamW::gradients(const Group& group) const {
  std::vector<at::Tensor> grads;
  for (const auto& parameter : group.parameters) grads.push_back(parameter.grad());
  return grads;
}

void AdamW::update(const Group& group, at::TensorList parameters, at::TensorList gradients,
                   at::TensorList first_moments, at::TensorList second_moments, at::TensorList steps,
                   double learning_rate, const at::Tensor& skip) const {
  at::_fused_adamw_(parameters, gradients, first_moments, second_moments, {}, steps, learning_rate,
                    config_.beta1, config_.beta2, group.weight_decay, config_.epsilon,
                    /*amsgrad=*/false, /*maximize=*/false, /*grad_scale=*/std::nullopt, skip);
}

/// A parameter at a time, with float32 copies of its moments.
void AdamW::step_rounded(Group& group, double learning_rate, const at::Tensor& skip, int64_t number) {
  const auto step_seed = derive_seed(config_.seed, "moments", static_cast<uint64_t>(number));
  const auto grads = gradients(group);
  for (size_t i = 0; i < group.names.size(); ++i) {
    const auto m = group.first_moments[i].to(at::kFloat), v = group.second_moments[i].to(at::kFloat);
    update(group, group.parameters[i], grads[i], m, v, group.steps[i], learning_rate, skip);
    group.first_moments[i].copy_(m);
    round_at_random(v, group.second_moments[i], derive_seed(step_seed, group.names[i]));
  }
}

void AdamW::step(double learning_rate, const at::Tensor& skip, int64_t number) {
  const at::NoGradGuard no_grad;
  for (Group& group : groups_) {
    // The kernel leaves everything alone when skip is 1; the counts then must not advance either.
    at::_foreach_add_(group.steps, 1.0);
    at::_foreach_sub_(group.steps, std::vector<at::Tensor>(group.steps.size(), skip.squeeze()));
    if (config_.moments == at::kFloat) {
      update(group, group.parameters, gradients(group), group.first_moments, group.second_moments,
             group.steps, learning_rate, skip);
    } else {
      step_rounded(group, learning_rate, skip, number);
    }
  }
}

NamedTensors AdamW::state() const {
  NamedTensors tensors;
  for (const Group& group : groups_) {
    for (size_t i = 0; i < group.names.size(); ++i) {
      const AdamWState state{group.first_moments[i], group.second_moments[i], group.steps[i]};
      add_state(tensors, state, group.names[i]);
    }
  }
  return tensors;
}

}  // namespace bilens
