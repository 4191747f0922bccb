#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace bilens {

/// The weights of one layer of a decoder; biases may be undefined, or missing in `qkv_bias`,
/// and so may the norms of heads.
struct DecoderLayer {
  at::Tensor input_norm, output_norm;     // [hidden_size]
  std::vector<at::Tensor> qkv, qkv_bias;  // queries, keys, values: [heads * head_dim, hidden_size] each
  at::Tensor o, o_bias;                   // [hidden_size, heads * head_dim]
  at::Tensor gate, up, down;              // as GatedMlpWeights
  at::Tensor gate_bias, up_bias, down_bias;
  at::Tensor q_norm, k_norm;  // [head_dim], of each head before it is turned
  int64_t window = 0;         // AttentionHeads::window
  bool turned = true;         // whether queries and keys are, to their positions

  std::vector<at::Tensor*> tensors();  // those that are there
};

}  // namespace bilens
