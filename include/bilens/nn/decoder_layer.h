#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "bilens/nn/attention.h"

namespace bilens {

/// Gains [hidden_size] of the norms around attention or MLP, h ← h + behind(f(before(h))); undefined: none.
struct SublayerNorms {
  at::Tensor before, behind;
};

/// The weights of one layer of a decoder; norms and biases may be undefined, or missing in `qkv_bias`.
struct DecoderLayer {
  SublayerNorms attention_norms, mlp_norms;
  std::vector<at::Tensor> qkv, qkv_bias;  // queries, keys, values: [heads * head_dim, hidden_size] each
  at::Tensor o, o_bias;                   // [hidden_size, heads * head_dim]
  at::Tensor gate, up, down;              // as GatedMlpWeights
  at::Tensor gate_bias, up_bias, down_bias;
  at::Tensor q_norm, k_norm;  // gains of normalize_heads
  int64_t window = 0;         // AttentionHeads::window
  Turning turning = Turning::kGlobal;

  std::vector<at::Tensor*> tensors();  // those that are there
};

}  // namespace bilens
