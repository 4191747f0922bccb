#pragma once

#include "bilens/model/family.h"

namespace bilens {

/// Whether weights have the names of the language models of arXiv 2410.08417 (transformer.wte,
/// transformer.h.N.attn.qkv, .attn.o, .mlp.w, .mlp.p, lm_head).
bool is_paper_transformer(const Weights& weights);

/// Reads such a model, with the config.json beside it (paper_config.h), as a Llama in float32, which
/// expresses it exactly:
///   h ← h + scale·Attention(norm(h)), h ← h + MLP(norm(h)), scale = 1/√(2 n_layer)
/// with norms of gain 1 (their early version's gains are kept) and eps 1e-8, rotary angles of base 10000,
/// q, k, v packed in attn.qkv and gate and up in mlp.w. The scale goes into o_proj.
/// @throws Error(kBadInput), by name: no config.json, a model without norms, second-order attention, a bias
/// in a norm, tensors beside these, sizes that do not fit
ForeignDecoder read_paper_transformer(const StoredModel& model);

}  // namespace bilens
