#include "bilens/nn/linear.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <numeric>

#include "matrix_product.h"
#include "packed.h"
#include "tracked.h"

namespace bilens {

std::vector<at::Tensor> packed_rows(const std::vector<int64_t>& rows, int64_t columns,
                                    const at::TensorOptions& options) {
  return at::empty({std::accumulate(rows.begin(), rows.end(), int64_t{0}), columns}, options)
      .split_with_sizes(rows);
}

namespace {

/// How many rows matrices that follow each other in memory have together; 0 where they do not.
int64_t rows_in_line(const std::vector<at::Tensor>& parts) {
  const auto& first = parts.front();
  int64_t offset = first.storage_offset(), rows = 0;
  for (const auto& part : parts) {
    if (!part.is_contiguous() || !part.is_alias_of(first) || part.storage_offset() != offset) return 0;
    offset += part.numel();
    rows += part.size(0);
  }
  return rows;
}

}  // namespace

at::Tensor as_one(const std::vector<at::Tensor>& parts) {
  const auto& first = parts.front();
  const int64_t rows = rows_in_line(parts);
  if (rows == 0) return {};
  if (parts.size() == 1) return first;
  auto shape = first.sizes().vec();
  shape[0] = rows;
  return first.as_strided(shape, first.strides(), first.storage_offset());
}

at::Tensor times_transposed(const at::Tensor& x, const std::vector<at::Tensor>& weights) {
  if (const auto one = as_one(weights); one.defined()) return matrix_product(x, one.t());
  if (weights.size() == 1) return matrix_product(x, weights.front().t());
  std::vector<at::Tensor> parts;
  for (const auto& weight : weights) parts.push_back(times_transposed(x, {weight}));
  return at::cat(parts, 1);
}

at::Tensor times(const at::Tensor& y, const std::vector<at::Tensor>& weights) {
  if (const auto one = as_one(weights); one.defined()) return matrix_product(y, one);
  at::Tensor sum;
  int64_t begin = 0;
  for (const auto& weight : weights) {
    const auto part = y.narrow(1, begin, weight.size(0));
    if (sum.defined()) {
      sum.addmm_(part, weight);
    } else {
      sum = matrix_product(part, weight);
    }
    begin += weight.size(0);
  }
  return sum;
}

std::vector<at::Tensor> weight_gradients(const at::Tensor& y, const at::Tensor& x,
                                         const std::vector<at::Tensor>& weights) {
  std::vector<int64_t> rows;
  for (const auto& weight : weights) rows.push_back(weight.size(0));
  return matrix_product(y.t(), x).split_with_sizes(rows);
}

std::vector<at::Tensor> bias_gradients(const at::Tensor& y, const std::vector<at::Tensor>& biases) {
  std::vector<int64_t> sizes;
  for (const auto& bias : biases) sizes.push_back(bias.size(0));
  return y.sum(0).split_with_sizes(sizes);
}

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor product(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                   const std::vector<at::Tensor>& biases) {
  auto y = times_transposed(x, weights);
  if (!biases.empty()) y.add_(at::cat(biases));
  return y;
}

struct Linear : torch::autograd::Function<Linear> {
  /// inputs: x [n, d_in], `count` weights, the biases
  static at::Tensor forward(AutogradContext* context, at::TensorList inputs, int64_t count) {
    context->save_for_backward(inputs.vec());
    context->saved_data["count"] = count;
    return product(inputs[0], {inputs.begin() + 1, inputs.begin() + 1 + count},
                   {inputs.begin() + 1 + count, inputs.end()});
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto count = context->saved_data["count"].toInt();
    const std::vector<at::Tensor> weights(saved.begin() + 1, saved.begin() + 1 + count);
    const std::vector<at::Tensor> biases(saved.begin() + 1 + count, saved.end());
    const auto dy = grads[0].contiguous();
    variable_list result(saved.size() + 1);
    if (context->needs_input_grad(0)) result[0] = times(dy, weights);
    bool trained = false;
    for (size_t i = 1; i < saved.size(); ++i) trained = trained || context->needs_input_grad(i);
    if (!trained) return result;
    auto place = result.begin() + 1;
    for (auto& grad : weight_gradients(dy, saved[0], weights)) *place++ = grad;
    if (biases.empty()) return result;
    for (auto& grad : bias_gradients(dy, biases)) *place++ = grad;
    return result;
  }
};

}  // namespace

at::Tensor linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                  const std::vector<at::Tensor>& biases) {
  variable_list inputs = {as_rows(x)};
  inputs.insert(inputs.end(), weights.begin(), weights.end());
  inputs.insert(inputs.end(), biases.begin(), biases.end());
  const auto y = is_tracked(inputs)
                     ? Linear::apply(at::TensorList(inputs), static_cast<int64_t>(weights.size()))
                     : product(inputs[0], weights, biases);
  return shaped_as(y, x);
}

}  // namespace bilens
