#include "bilens/study/gradient_attack.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/study/layer_on_images.h"
#include "bilens/study/smallest_perturbation.h"

namespace bilens {

namespace {

constexpr int kHalvings = 50;

/// Runner-up's logit minus the prediction's [n, 1] and its gradient [n, d].
std::pair<at::Tensor, at::Tensor> margin_and_gradient(ImageClassifier& exact, const at::Tensor& inputs,
                                                      const at::Tensor& prediction) {
  const at::AutoGradMode with_gradients(true);
  const auto x = inputs.detach().requires_grad_(true);
  const auto logits = exact->forward(x);
  const auto index = prediction.unsqueeze(1);
  const auto margin = logits.scatter(1, index, -INFINITY).amax(1, true) - logits.gather(1, index);
  const auto gradient = torch::autograd::grad({margin.sum()}, {x})[0];
  return {margin.detach(), gradient};
}

/// Looks along the segments x + t δ, 0 < t ≤ 1, whose end has another class. @return the length up to a place
/// with another class, [N]
at::Tensor shortest_on_segment(ImageClassifier& exact, const at::Tensor& inputs, const at::Tensor& steps,
                               const at::Tensor& prediction) {
  auto low = at::zeros({inputs.size(0), 1}, at::kDouble), high = at::ones_like(low);
  for (int i = 0; i < kHalvings; ++i) {
    const auto middle = 0.5 * (low + high);
    const auto changed = class_changed(exact, inputs + middle * steps, prediction).unsqueeze(1);
    high = at::where(changed, middle, high);
    low = at::where(changed, low, middle);
  }
  return (high * steps).norm(2, 1);
}

}  // namespace

at::Tensor gradient_attack(const ImageClassifier& model, const at::Tensor& inputs,
                           const at::Tensor& prediction, int64_t steps) {
  const at::NoGradGuard no_grad;
  constexpr double kBeyond = 1e-3;  // of a step: so that the class changes on it
  auto exact = float64_copy(model);
  auto step = at::zeros_like(inputs), best = at::zeros_like(inputs);
  auto length = at::full({inputs.size(0)}, INFINITY, at::kDouble);
  Progress progress("gradient attack", steps, "steps");
  for (int64_t i = 0; i < steps; ++i) {
    if (stop_requested()) throw Stopped{};
    const auto [margin, gradient] = margin_and_gradient(exact, inputs + step, prediction);
    const auto offset = margin - (gradient * step).sum(1, true);
    step = -offset / gradient.square().sum(1, true).clamp_min(1e-300) * gradient;
    const auto beyond = (1 + kBeyond) * step;
    const auto shorter =
        class_changed(exact, inputs + beyond, prediction).logical_and(beyond.norm(2, 1).lt(length));
    length = at::where(shorter, beyond.norm(2, 1), length);
    best = at::where(shorter.unsqueeze(1), beyond, best);
    progress.advance(1);
  }
  return at::where(length.isfinite(), shortest_on_segment(exact, inputs, best, prediction), length);
}

}  // namespace bilens
