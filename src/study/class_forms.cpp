#include "bilens/study/class_forms.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <limits>

#include "bilens/analysis/forms/interaction.h"

namespace bilens {

OneLayerWeights one_layer_weights(const ImageClassifier& model) {
  const at::NoGradGuard no_grad;
  const auto& c = model->config;
  if (c.n_layers != 1 || c.gate != Gate::kNone) {
    throw Error(
        ExitCode::kBadInput,
        {"model", "a classifier of one bilinear layer, whose logits are quadratic forms of the pixels",
         std::to_string(c.n_layers) + " layers" + (c.gate == Gate::kNone ? "" : " with a gate"),
         "Inner layers have spaces of their own; `bilens decompose` takes each layer by itself."});
  }
  const auto stored = [](const torch::nn::Linear& linear) {
    return linear ? linear->weight.detach().to(at::kDouble) : at::Tensor();
  };
  const auto bias = [](const torch::nn::Linear& linear) {
    return linear && linear->bias.defined() ? linear->bias.detach().to(at::kDouble) : at::Tensor();
  };
  auto& mlp = *model->mlps.front();
  return {{stored(mlp.gate_proj), stored(mlp.up_proj), stored(mlp.down_proj), bias(mlp.gate_proj),
           bias(mlp.up_proj), bias(mlp.down_proj), c.residual},
          stored(model->embed),
          stored(model->head)};
}

at::Tensor QuadraticForm::values(const at::Tensor& z) const {
  return z.mm(matrix).mul_(z).sum(1).add_(z.mv(linear)).add_(constant);
}

at::Tensor QuadraticForm::error(const at::Tensor& norms, double rounding) const {
  constexpr double kLeast = 1e-3;  // so that no value is 0 for certain
  const auto x = norms.clamp_min(kLeast);
  return rounding * (size * x.square() + linear.norm() * x + std::abs(constant));
}

bool QuadraticForm::is_zero() const {
  return constant == 0 && !matrix.any().item<bool>() && !linear.any().item<bool>();
}

ClassForms::ClassForms(const ImageClassifier& model) : weights(one_layer_weights(model)) {
  weights.layer = weights.layer.to(at::kDouble, at::kCPU);
  weights.embed = weights.embed.cpu();
  weights.head = weights.head.cpu();
  const auto [a, r] = at::linalg_qr(weights.embed.t());
  basis = a;
  triangle = r.t().contiguous();
  folded = fold_input(weights.layer, triangle);
}

double ClassForms::rounding() const {
  return static_cast<double>(basis.size(0) + dimension() + folded.d_hidden() + 16) *
         std::numeric_limits<double>::epsilon();
}

at::Tensor ClassForms::matrices(const at::Tensor& directions) const {
  return InteractionOperator(folded, directions).form(0, directions.size(0), at::kDouble);
}

QuadraticForm ClassForms::difference(int64_t of, int64_t to) const {
  const auto direction = (weights.head[of] - weights.head[to]).unsqueeze(0);
  const InteractionOperator over_pixels(folded, direction), over_hidden(weights.layer, direction);
  const auto norms = folded.gate.norm(2, 1) * folded.up.norm(2, 1);
  return {over_pixels.form(0, 1, at::kDouble)[0], over_hidden.linear().mm(triangle)[0],
          over_hidden.constant()[0].item<double>(), over_pixels.scales()[0].abs().dot(norms).item<double>()};
}

}  // namespace bilens
