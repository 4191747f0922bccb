#include "bilens/model/as_llama.h"

#include <ATen/ATen.h>

#include <stdexcept>

namespace bilens {

bool is_a_llama(const DecoderConfig& config) {
  const bool plain_norms = !config.one_plus_gains && config.query_key_norms == QueryKeyNorms::kNone &&
                           config.norm_names() == DecoderConfig{}.norm_names();
  const bool plain_scores =
      config.windows.empty() && config.turnings.empty() && config.rope.scaling != RopeScaling::kLongRope &&
      config.rotary_dim() == config.head_dim && config.heads().scale == 0 && config.heads().soft_cap == 0;
  return plain_norms && plain_scores && !config.scales_embedding && !config.final_logit_softcapping;
}

Decoder as_llama(const Decoder& model) {
  if (!is_a_llama(model.config())) throw std::invalid_argument("as_llama: not the function of a Llama");
  auto config = model.config();
  config.type = native_decoder_type();
  config.output_bias = true;
  std::map<std::string, at::Tensor> weights(model.parameters().begin(), model.parameters().end());
  for (const auto& [name, shape] : config.parameter_shapes())
    if (weights.count(name) == 0) weights[name] = at::zeros(shape, weights.begin()->second.options());
  return {config, std::move(weights)};
}

}  // namespace bilens
