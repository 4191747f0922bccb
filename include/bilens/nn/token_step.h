#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "bilens/nn/attention.h"
#include "bilens/nn/decoder_layer.h"
#include "bilens/nn/gate.h"

namespace bilens {

/// A decoder without its embedding: h ← h + Attention(norm(h)), h ← h + MLP(norm(h)) in each layer, with
/// norms before or behind as the layer has them, and the logits head · norm(h).
struct DecoderStack {
  std::vector<DecoderLayer> layers;
  std::vector<Activation> activations;  // of each layer's MLP
  at::Tensor norm, head;                // [hidden_size], [vocabulary, hidden_size]
  AttentionHeads heads;
  double epsilon = 1e-5;  // of the norms
};

/// One token of one sequence through a decoder, as sampling does it again and again: linear,
/// cached_attention, gated_mlp and rms_norm in a single parallel region, in which the threads meet five times
/// a layer, and once more for each norm that takes all that they made. A token is bound by how fast the
/// weights are read; a region and a few calls of LibTorch for each of them take half as long again.
class TokenStep {
 public:
  /// @param capacity of the caches that it is run with
  /// @return nothing unless all is float32, contiguous and on the CPU, and matrices that read the same input
  /// follow each other in memory (packed_rows). Matrices are kept, not copied.
  static std::optional<TokenStep> of(const DecoderStack& stack, int64_t capacity);

  /// @param embedding [1, hidden_size], the token's
  /// @param cache of each layer; takes the token's keys and values
  /// @param position of the token, below the capacity
  /// @return logits of the token that follows, [1, vocabulary]
  at::Tensor operator()(const at::Tensor& embedding, std::vector<LayerCache>& cache, int64_t position,
                        const RotaryTables& rotary);

 private:
  struct Layer {
    SublayerNorms attention_norms, mlp_norms;
    at::Tensor qkv, qkv_bias, o, o_bias, gate_up, gate_up_bias, down, down_bias;
    Activation activation;
    at::Tensor q_norm, k_norm;
    int64_t window;
    Turning turning;
  };
  struct Context;  // of one token and thread

  TokenStep() = default;
  void normalize_heads(const Layer& layer, float* qkv, int64_t kv_head) const;
  void normalize_projections(const Layer& layer, Context& context);
  void attention_block(const Layer& layer, LayerCache& cache, Context& context);
  void mlp_block(const Layer& layer, Context& context);

  std::vector<Layer> layers_;
  at::Tensor norm_, head_;
  AttentionHeads heads_;
  double epsilon_ = 0.0;
  int64_t threads_ = 1;
  at::Tensor state_, qkv_, attended_, gate_up_, product_, change_;  // of the token, shared by the threads
  at::Tensor own_;                                                  // [threads, of each alone]
};

}  // namespace bilens
