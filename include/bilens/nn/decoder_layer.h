#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace bilens {

/// The weights of one layer of a decoder; biases may be undefined, or missing in `qkv_bias`.
struct DecoderLayer {
  at::Tensor input_norm, output_norm;     // [hidden_size]
  std::vector<at::Tensor> qkv, qkv_bias;  // queries, keys, values: [heads * head_dim, hidden_size] each
  at::Tensor o, o_bias;                   // [hidden_size, heads * head_dim]
  at::Tensor gate, up, down;              // as GatedMlpWeights
  at::Tensor gate_bias, up_bias, down_bias;

  std::vector<at::Tensor*> tensors();  // those that are there
};

}  // namespace bilens
