#pragma once

#include <ATen/core/Tensor.h>

#include <string>

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

/// "NAME[BEGIN:END]"; "" for no name.
std::string rows_of_tensor(const std::string& name, int64_t begin, int64_t end);

/// The bias beside a tensor: "x.weight" has "x.bias", "W_in" has "b_in" or "W_in.bias"; "" where there is
/// none.
std::string bias_of_tensor(const Weights& weights, const std::string& name);

/// The bias beside an expression, with its rows: "x.weight[0:8]" has "x.bias[0:8]".
std::string bias_beside(const Weights& weights, const std::string& expression);

}  // namespace bilens
