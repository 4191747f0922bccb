#include "bilens/train/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <utility>

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

std::vector<int64_t> parameter_owners(const NamedTensors& parameters, const OptimizerConfig& config,
                                      int64_t processes) {
  std::vector<std::pair<int64_t, size_t>> sizes;
  for (size_t i = 0; i < parameters.size(); ++i)
    sizes.emplace_back(moment_bytes(parameters[i].first, parameters[i].second.sizes(), config), i);
  std::stable_sort(sizes.begin(), sizes.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<int64_t> held(static_cast<size_t>(processes)), owners(parameters.size());
  for (const auto& [bytes, parameter] : sizes) {
    const auto least = std::min_element(held.begin(), held.end());
    *least += bytes;
    owners[parameter] = least - held.begin();
  }
  return owners;
}

namespace {

std::vector<at::Tensor> tensors_of(const NamedTensors& named) {
  std::vector<at::Tensor> tensors;
  for (const auto& [name, tensor] : named) tensors.push_back(tensor);
  return tensors;
}

/// Puts into each tensor the one of the same name.
void fill(const NamedTensors& tensors, const NamedTensors& from) {
  for (const auto& [name, tensor] : tensors) {
    const auto found =
        std::find_if(from.begin(), from.end(), [&](const auto& item) { return item.first == name; });
    if (found != from.end()) tensor.copy_(found->second);
  }
}

}  // namespace

Optimizer::Optimizer(const NamedTensors& parameters, const OptimizerConfig& config, const Ranks& ranks)
    : parameters_(parameters),
      config_(config),
      ranks_(ranks),
      owners_(parameter_owners(parameters, config, ranks.count())) {
  NamedTensors hidden, rest;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto& [name, parameter] = parameters[i];
    if (owns(i)) (goes_by_muon(name, parameter.sizes(), config) ? hidden : rest).push_back(parameters[i]);
  }
  if (!hidden.empty())
    muon_.emplace(hidden,
                  MuonConfig{.weight_decay = config.adamw.weight_decay, .moments = config.adamw.moments});
  if (!rest.empty()) adamw_.emplace(rest, config.adamw);
}

void Optimizer::step(double learning_rate, const at::Tensor& skip, int64_t number) {
  if (muon_) muon_->step(learning_rate, skip);
  if (adamw_) adamw_->step(learning_rate, skip, number);
  ranks_.copy_from_owners(tensors_of(parameters_), owners_);
}

void Optimizer::zero_grad() {
  for (auto& [name, parameter] : parameters_) parameter.mutable_grad().reset();
}

at::Tensor Optimizer::clip_gradients(double max_norm, const at::Tensor& measured) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> gradients, own;
  std::vector<int64_t> places;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    gradients.push_back(parameters_[i].second.grad());
    if (!owns(i)) continue;
    own.push_back(gradients.back());
    places.push_back(static_cast<int64_t>(i));
  }
  ranks_.sum_to_owners(gradients, owners_);
  auto norms = own.empty() ? at::Tensor{} : at::stack(at::_foreach_norm(own));
  if (!ranks_.alone()) {
    // All processes but one have 0 for a norm, so that the sum is exact.
    const auto count = static_cast<int64_t>(gradients.size()),
               more = measured.defined() ? measured.numel() : 0;
    auto row = at::zeros({count + more}, gradients.front().options());
    if (!own.empty())
      row.index_copy_(0, at::tensor(places, at::device(row.device()).dtype(at::kLong)), norms);
    if (more > 0) row.slice(0, count).copy_(measured);
    ranks_.sum(row);
    norms = row.slice(0, 0, count);
    if (more > 0) measured.copy_(row.slice(0, count));
  }
  const auto norm = norms.norm();
  if (max_norm > 0 && !own.empty()) at::_foreach_mul_(own, (max_norm / (norm + 1e-6)).clamp_max(1.0));
  return norm;
}

NamedTensors Optimizer::own_state() const {
  NamedTensors tensors = muon_ ? muon_->state() : NamedTensors{};
  if (adamw_) {
    for (auto& item : adamw_->state()) tensors.push_back(std::move(item));
  }
  return tensors;
}

NamedTensors Optimizer::moments_of(size_t parameter) const {
  return Optimizer({parameters_[parameter]}, config_).own_state();
}

NamedTensors Optimizer::place_for_moments(size_t parameter) const {
  return owns(parameter) || ranks_.first() ? moments_of(parameter) : NamedTensors{};
}

NamedTensors Optimizer::state() const {
  auto all = own_state();
  if (ranks_.alone()) return all;
  const auto own = ranks_.first() ? NamedTensors{} : std::exchange(all, {});
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (owners_[i] == 0) continue;
    const auto one = place_for_moments(i);
    fill(one, own);
    ranks_.copy(owners_[i], 0, tensors_of(one));
    if (!ranks_.first()) continue;
    for (const auto& [name, tensor] : one) all.emplace_back(name, tensor.cpu());
  }
  return all;
}

void Optimizer::load_state(const SafetensorsFile& file) {
  const auto own = own_state();
  loaded_.clear();
  for (size_t i = 0; i < parameters_.size(); ++i) {
    NamedTensors stored;
    for (const auto& [name, tensor] : moments_of(i)) {
      stored.emplace_back(name, file.tensor(name));
      require_shape(stored.back().second, tensor.sizes(), file.path().string() + ": " + name);
    }
    if (owns(i))
      fill(own, stored);
    else
      loaded_.insert(loaded_.end(), stored.begin(), stored.end());
  }
}

void Optimizer::share_state() {
  if (ranks_.alone()) return;
  const auto own = own_state(), loaded = std::exchange(loaded_, {});
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (owners_[i] == 0) continue;
    const auto one = place_for_moments(i);
    fill(one, loaded);
    ranks_.copy(0, owners_[i], tensors_of(one));
    if (owns(i)) fill(own, one);
  }
}

}  // namespace bilens
