#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "bilens/io/weights.h"

namespace bilens {

/// Where a matrix comes from: a tensor, possibly a range of its rows, possibly transposed: "NAME",
/// "NAME[0:512]", "NAME[0:512].T". The slice is taken first.
struct TensorExpression {
  std::string name;
  int64_t begin = 0, end = -1;  // rows; -1: all
  bool transposed = false;
};

/// @throws Error(kUsage) for anything that is not such an expression.
TensorExpression parse_tensor_expression(const std::string& text);

/// The tensor that an expression stands for. @throws Error(kBadInput) when it is absent or too small for the
/// slice.
at::Tensor read_expression(const Weights& weights, const std::string& expression);

/// Whose names a gated MLP has; that may say more than where its matrices are (model/architecture.h).
enum class MlpConvention {
  kHuggingFace,  // gate_proj, up_proj, down_proj; ours too
  kMeta,         // feed_forward.w1, w3, w2
  kLitGpt,       // mlp.swiglu.w1, w2, w3
  kPapers,       // mlp.w, mlp.p: the language models of arXiv 2406.03947 and 2410.08417
  kPlain         // W_l, W_r, W_p; blocks.N: bare tensors, or named by the user
};

/// The tensors of one gated MLP by our names; empty where there is none. Weights are [out, in].
struct MlpNames {
  int64_t layer = 0;
  MlpConvention convention = MlpConvention::kPlain;
  std::string block;           // what stands before all names of the decoder block: "model.layers.0."
  std::string module;          // and before those of the MLP alone: "model.layers.0.mlp."; "": not known
  std::string gate, up, down;  // .weight, or tensor expressions
  std::string gate_bias, up_bias, down_bias;  // empty without biases
};

/// Finds every gated MLP among the names, by the table in weight_names.cpp: gate_proj, up_proj, down_proj;
/// W_l, W_r, W_p; packed mlp.w with mlp.p, blocks.N; and others, behind any prefix. The layer number is the
/// last number in the name (else a count). In order of layers.
/// @throws Error(kBadInput) when a gate has no up_proj, or a packed tensor cannot be halved.
std::vector<MlpNames> find_mlps(const Weights& weights);

/// The last number among the dotted parts of a name; `otherwise` where there is none.
int64_t layer_number(const std::string& name, int64_t otherwise);

/// The bias beside a named matrix, with the same rows: "x.weight[0:8]" has "x.bias[0:8]", "W_in" has "b_in"
/// or "W_in.bias". Empty where there is none.
std::string bias_beside(const Weights& weights, const std::string& expression);

/// embed.weight and head.weight around layers named blocks.N.weight or W_l, W_r: the first layer's input and
/// the logits are linear in these. Empty for all else.
struct ClassifierEnds {
  std::string embed, head;
};
ClassifierEnds find_classifier_ends(const Weights& weights);

}  // namespace bilens
