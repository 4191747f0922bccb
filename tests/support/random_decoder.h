#pragma once

// Small random Llama-type models.

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "bilens/model/decoder.h"
#include "bilens/tensor/random.h"

namespace bilens::test {

inline DecoderConfig config_of(Gate gate, bool biased) {
  DecoderConfig config;
  config.vocab_size = 19, config.hidden_size = 8, config.intermediate_size = 12;
  config.num_hidden_layers = 2, config.num_attention_heads = 2, config.num_key_value_heads = 1,
  config.head_dim = 4;
  config.max_position_embeddings = 64;
  config.hidden_act = gate, config.mlp_bias = biased, config.initializer_range = 0.5;
  return config;
}

/// With biases and gains that are not those of a new model; one gain is 0.
inline Decoder random_model(Gate gate, bool biased = true) {
  Decoder model(config_of(gate, biased), at::kCPU, 3);
  const at::NoGradGuard no_grad;
  uint64_t seed = 7;
  for (const auto& [name, parameter] : model.parameters()) {
    if (parameter.dim() == 1)
      at::Tensor(parameter).add_(
          at::randn(parameter.sizes(), make_generator(at::kCPU, seed++), at::TensorOptions()), 0.3);
    if (name.ends_with("layers.1.post_attention_layernorm.weight")) parameter[2].zero_();
  }
  return model;
}

}  // namespace bilens::test
