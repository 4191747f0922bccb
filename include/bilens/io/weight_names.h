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

/// Finds every gated MLP among the names: each "<prefix>gate_proj.weight" with its up_proj and, if any,
/// down_proj. The layer number is the last number in the prefix (else a count). In order of layers.
/// @throws Error(kBadInput) when a gate has no up_proj.
std::vector<MlpNames> find_mlps(const Weights& weights);

}  // namespace bilens
