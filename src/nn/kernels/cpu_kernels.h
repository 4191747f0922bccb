#pragma once

// The loops that the CPU spends its time in, compiled once for each instruction set (cmake/Simd.cmake) and
// chosen when the program runs. No LibTorch headers: their inline functions must not be compiled for
// processors that may not be there.

#include <cstdint>

#include "bfloat16.h"
#include "bilens/nn/gate.h"

namespace bilens {

/// Rows of a matrix, of which only the columns are next to each other.
struct Rows {
  int64_t count, width;
  int64_t stride_in, stride_out;  // elements from one row to the next
};

template <class T>
struct GatedKernels {
  /// y [count, width], rows of y stride_out apart: f(gate) ⊙ up.
  void (*forward)(Activation activation, const T* gate, const T* up, T* y, Rows rows);
  /// Gradients of gate and up, their rows stride_out apart; `grad` [count, width] without gaps. Where
  /// `product` is not null it takes f(gate) ⊙ up, without gaps.
  void (*backward)(Activation activation, const T* grad, const T* gate, const T* up, T* grad_gate, T* grad_up,
                   T* product, Rows rows);
};

/// One call's tensors of causal attention. Token t of sequence b, head h stands at
/// pointer + b * batch + t * token + h * head; its head_dim numbers are next to each other.
struct HeadLayout {
  int64_t batch, token, head;
};

struct AttentionCall {
  int64_t queries, keys;  // tokens of each sequence; query i sees keys 0..i + keys − queries
  int64_t heads, kv_heads, head_dim;
  int64_t window;  // of the last keys that a query sees, its own among them; 0: all
  float scale;     // of the scores
  float soft_cap;  // c of c tanh(s/c) in the place of each score s; 0: s itself
  HeadLayout q_layout, kv_layout, out_layout;
  const int64_t* starts;       // [batch, keys] first token of each token's document, or null: 0
  const float *cosine, *sine;  // [positions, rotary_dim / 2] rotate queries and, with rotate_keys, keys
  int64_t rotary_dim;          // of the first numbers of a head, which are turned; the others stay
  bool rotate_keys;
};

struct CpuKernels {
  /// y = W x, W [rows, width] without gaps.
  void (*row_product)(const float* w, const float* x, float* y, int64_t rows, int64_t width);

  GatedKernels<float> gated_float;
  GatedKernels<double> gated_double;
  GatedKernels<Bfloat16> gated_bfloat16;

  /// y = x r ⊙ gain with r = 1/√(mean(x²) + epsilon), rows [count, width]; r goes to `inverse` [count],
  /// where that is given.
  void (*rms_norm)(const float* x, const float* gain, double epsilon, float* y, float* inverse, int64_t count,
                   int64_t width);
  /// ∂x, and this call's part of ∂gain added to grad_gain [width].
  void (*rms_norm_backward)(const float* grad, const float* x, const float* gain, const float* inverse,
                            float* grad_x, float* grad_gain, int64_t count, int64_t width);

  /// losses[i] = log Σ_j exp(logits[i][j]) − logits[i][targets[i]], 0 for targets below 0; with `gradient`
  /// the logits become softmax − one-hot of the target, 0 for those.
  void (*cross_entropy)(float* logits, const int64_t* targets, float* losses, bool gradient, int64_t count,
                        int64_t width);

  /// One sequence `b` and key-value head with all its query heads. `scratch` holds attention_scratch floats.
  void (*attention)(const AttentionCall& call, const float* q, const float* k, const float* v, float* out,
                    float* log_sums, int64_t b, int64_t kv_head, float* scratch);
  /// The gradients of q, k, v, laid out as these; `grad` and `out` as out_layout says, log_sums
  /// [batch, heads, queries] as the forward pass wrote them.
  void (*attention_backward)(const AttentionCall& call, const float* grad, const float* q, const float* k,
                             const float* v, const float* out, const float* log_sums, float* grad_q,
                             float* grad_k, float* grad_v, int64_t b, int64_t kv_head, float* scratch);
  int64_t (*attention_scratch)(const AttentionCall& call, bool backward);

  /// Adds the call's queries' tokens, the last of its keys, to a cache laid out as kv_layout: k turned, v;
  /// both stand as q_layout says.
  void (*extend_cache)(const AttentionCall& call, const float* k, const float* v, float* keys, float* values,
                       int64_t b, int64_t kv_head);
  /// `attention` of one query, with keys that are turned already and, as the values, those of a head next to
  /// each other; `scratch` as there.
  void (*attention_step)(const AttentionCall& call, const float* q, const float* keys, const float* values,
                         float* out, int64_t b, int64_t kv_head, float* scratch);
};

/// The kernels for this processor.
const CpuKernels& cpu_kernels();

}  // namespace bilens
