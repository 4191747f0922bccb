#include "bilens/study/activation_lines.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <stdexcept>

#include "gated_factors.h"

namespace bilens {

namespace {
constexpr int64_t kLinesAtOnce = 256;  // in float64, several times over
}  // namespace

std::vector<UnitFit> fit_activation_lines(Decoder& model, const TextWindows& text) {
  const at::NoGradGuard no_grad;
  const auto& config = model.config();
  if (config.hidden_act == Gate::kNone) throw std::invalid_argument("fit_activation_lines: a bilinear model");
  const auto device = model.parameters().front().second.device();
  std::vector<UnitSums> sums;
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) sums.emplace_back(config.intermediate_size, device);
  text.each("fit activations", [&](const TokenBatch& batch, ForwardOptions options) {
    options.mlp_hook = [&](int64_t layer, const at::Tensor& x, const at::Tensor& y) {
      for (const auto& rows : x.flatten(0, 1).split(kLinesAtOnce)) {
        const auto [z, v] = gated_factors(model.layer(layer), rows);
        sums[layer].add(z, v, at::ones({rows.size(0)}, rows.options()), model.activation(layer));
      }
      return y;
    };
    model.final_states(batch.inputs.to(device), options);
  });
  std::vector<UnitFit> fits;
  for (const auto& of_layer : sums) fits.push_back(fit_units(of_layer, true));
  return fits;
}

}  // namespace bilens
