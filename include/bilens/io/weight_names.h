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

/// The tensors of one gated MLP by our names; empty where there is none. Weights are [out, in].
struct MlpNames {
  int64_t layer = 0;
  std::string gate, up, down;                 // .weight, or tensor expressions
  std::string gate_bias, up_bias, down_bias;  // empty without biases
  std::string norm;                           // gain of the RMSNorm in front
};

/// Finds every gated MLP among the names, by the table in weight_names.cpp: gate_proj, up_proj, down_proj;
/// W_l, W_r, W_p; packed mlp.w with mlp.p, blocks.N; and others, behind any prefix. The layer number is the
/// last number in the name (else a count). In order of layers.
/// @throws Error(kBadInput) when a gate has no up_proj, or a packed tensor cannot be halved.
std::vector<MlpNames> find_mlps(const Weights& weights);

/// embed.weight and head.weight around layers named blocks.N.weight or W_l, W_r: the first layer's input and
/// the logits are linear in these. Empty for all else.
struct ClassifierEnds {
  std::string embed, head;
};
ClassifierEnds find_classifier_ends(const Weights& weights);

}  // namespace bilens
