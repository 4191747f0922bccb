#include "bilens/nn/gated_mlp.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "gated_rows.h"
#include "matrix_product.h"
#include "packed.h"
#include "tracked.h"

namespace bilens {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// The MLP's output y [n, d].
/// @param inputs x [n, d], gate, up, down, and the three biases or none
/// @param both receives gate and up's products [n, 2h]
at::Tensor mlp_output(at::TensorList inputs, const Activation& activation, at::Tensor& both) {
  both = times_transposed(inputs[0], {inputs[1], inputs[2]});
  if (inputs.size() > 4) both.add_(at::cat({inputs[4], inputs[5]}));
  auto product = at::empty({both.size(0), both.size(1) / 2}, both.options());
  gated_halves(activation, both, product);
  auto y = times_transposed(product, {inputs[3]});
  return inputs.size() > 4 ? y.add_(inputs[6]) : y;
}

struct GatedMlp : torch::autograd::Function<GatedMlp> {
  static at::Tensor forward(AutogradContext* context, at::TensorList inputs, int64_t kind, double beta) {
    at::Tensor both;
    const auto y = mlp_output(inputs, {static_cast<Gate>(kind), beta}, both);
    auto saved = inputs.vec();
    saved.push_back(both);
    context->save_for_backward(saved);
    context->saved_data["kind"] = kind;
    context->saved_data["beta"] = beta;
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &gate = saved[1], &up = saved[2], &down = saved[3], &both = saved.back();
    const bool biased = saved.size() > 5;
    const Activation activation(static_cast<Gate>(context->saved_data["kind"].toInt()),
                                context->saved_data["beta"].toDouble());
    const auto dy = grads[0].contiguous();
    const auto halves = both.chunk(2, 1);
    auto grad_both = at::empty_like(both);
    auto grad_halves = grad_both.chunk(2, 1);
    auto product = at::empty({both.size(0), both.size(1) / 2}, both.options());
    gated_rows_backward(activation, matrix_product(dy, down), halves[0], halves[1], grad_halves[0],
                        grad_halves[1], product);
    variable_list result(saved.size() + 1);
    if (context->needs_input_grad(0)) result[0] = times(grad_both, {gate, up});
    if (context->needs_input_grad(1) || context->needs_input_grad(2)) {
      const auto parts = weight_gradients(grad_both, x, {gate, up});
      result[1] = parts[0], result[2] = parts[1];
    }
    if (context->needs_input_grad(3)) result[3] = matrix_product(dy.t(), product);
    if (biased) {
      const auto parts = bias_gradients(grad_both, {saved[4], saved[5]});
      result[4] = parts[0], result[5] = parts[1], result[6] = dy.sum(0);
    }
    return result;
  }
};

}  // namespace

at::Tensor gated_mlp(const at::Tensor& x, const GatedMlpWeights& w, const Activation& activation) {
  variable_list inputs = {as_rows(x), w.gate, w.up, w.down};
  if (w.gate_bias.defined()) inputs.insert(inputs.end(), {w.gate_bias, w.up_bias, w.down_bias});
  at::Tensor both;
  const auto y = is_tracked(inputs) ? GatedMlp::apply(at::TensorList(inputs),
                                                      static_cast<int64_t>(activation.kind), activation.beta)
                                    : mlp_output(inputs, activation, both);
  return shaped_as(y, x);
}

}  // namespace bilens
