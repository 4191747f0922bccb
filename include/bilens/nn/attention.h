#pragma once

#include <ATen/core/Tensor.h>

namespace bilens {

/// Heads of one attention layer; each key-value head serves heads / kv_heads query heads that follow each
/// other.
struct AttentionHeads {
  int64_t heads = 1, kv_heads = 1, head_dim = 2;
  int64_t window = 0;   // of the last tokens that a query sees, its own among them; 0: all
  double scale = 0.0;   // of the scores; 0: 1/√head_dim
  double soft_cap = 0;  // c of c tanh(s/c) in the place of each scaled score s; 0: s itself

  double score_scale() const;
};

/// Cosine and sine of the rotary embedding's angles, float32 [positions, r / 2] each: the first r numbers of
/// each head are turned, at most head_dim.
struct RotaryTable {
  at::Tensor cosine, sine;
};

/// How the queries and keys of a layer are turned: not at all, by the model's angles, or by angles of their
/// own for layers with windows.
enum class Turning { kNone, kGlobal, kLocal };

/// The angles of each.
struct RotaryTables {
  RotaryTable none, global, local;

  const RotaryTable& of(Turning turning) const;
};

/// Angles of 0, which turn nothing. @param like of the same positions and size
RotaryTable without_turning(const RotaryTable& like);

/// Where the tokens of a batch stand: the same in all layers, so made once a forward pass.
struct TokenPositions {
  RotaryTable rotary;  // for the kernels of this project by position, elsewhere of each token
  at::Tensor starts;   // for these kernels
  at::Tensor mask;     // elsewhere, 0 where a query may look and −∞ where not, [batch, 1, query, key]
};

/// @param starts int64 [batch, tokens] on the CPU, the place of the first token of each token's document,
/// or undefined: one document; positions count from there
/// @param options device and dtype of the queries, keys and values
TokenPositions token_positions(const RotaryTable& rotary, int64_t tokens, const at::Tensor& starts,
                               const at::TensorOptions& options);

/// Causal attention with rotary embedding: O = softmax(QKᵀ/√d) V, each query seeing itself and what came
/// before in its document and window; the pairs (x_i, x_{i+r/2}) of queries and keys turned by their
/// position's angles (arXiv 2104.09864, with the halves of Hugging Face's layout). In float32 on the CPU by
/// kernels of this project, which keep the input and one number a query and head for the gradients; elsewhere
/// by at::scaled_dot_product_attention.
/// @param qkv [batch, tokens, (heads + 2 kv_heads) head_dim]: queries, keys, values
/// @param positions made for these tokens, this device and dtype
/// @return [batch, tokens, heads * head_dim]
at::Tensor causal_attention(const at::Tensor& qkv, const AttentionHeads& heads,
                            const TokenPositions& positions);

/// Queries and keys, each divided by its root mean square and times a gain, as they are before they are
/// turned; values as they are. A gain [head_dim] is that of each head; one [heads * head_dim] is that of all
/// of a token's heads together, as one vector. @param qkv as for causal_attention
at::Tensor normalize_heads(const at::Tensor& qkv, const AttentionHeads& heads, const at::Tensor& q_gain,
                           const at::Tensor& k_gain, double epsilon);

/// Keys (turned to their positions) and values of one layer: [batch, kv_heads, capacity, head_dim] each.
struct LayerCache {
  at::Tensor keys, values;
};

/// As causal_attention, for tokens that follow the first `past` of a sequence whose keys and values are in
/// the cache; theirs are added to it. No gradients.
/// @param qkv [batch, tokens, (heads + 2 kv_heads) head_dim], past + tokens at most the capacity
at::Tensor cached_attention(const at::Tensor& qkv, const AttentionHeads& heads, const RotaryTable& rotary,
                            LayerCache& cache, int64_t past);

}  // namespace bilens
