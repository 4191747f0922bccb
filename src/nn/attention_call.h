#pragma once

#include <ATen/core/Tensor.h>

#include "bilens/nn/attention.h"
#include "kernels/cpu_kernels.h"

namespace bilens {

/// Causal attention among `tokens` tokens whose queries, keys and values stand packed, [batch, tokens, (heads
/// + 2 kv_heads) head_dim]; angles are filled in by the caller.
AttentionCall packed_call(const AttentionHeads& heads, int64_t tokens);

/// As packed_call(), but the keys and values of all `keys` tokens are in a cache; these tokens are the last
/// of them.
AttentionCall cached_call(const AttentionHeads& heads, int64_t tokens, int64_t keys, int64_t capacity);

void set_angles(AttentionCall& call, const RotaryTable& rotary);

}  // namespace bilens
