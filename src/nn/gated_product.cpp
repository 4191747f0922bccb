#include "bilens/nn/gated_product.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <stdexcept>

#include "gate_functions.h"
#include "gated_product_cuda.h"

namespace bilens {

namespace {

constexpr int64_t kGrain = 16384;  // elements a thread takes at least

at::Tensor forward(Gate activation, const at::Tensor& gate, const at::Tensor& up) {
  auto y = at::empty_like(gate);
  if (gate.is_cuda()) {
    gated_product_forward_cuda(activation, gate, up, y);
    return y;
  }
  dispatch_gate(activation, [&]<Gate kGate>() {
    AT_DISPATCH_FLOATING_TYPES(gate.scalar_type(), "gated_product", [&] {
      const auto* g = gate.const_data_ptr<scalar_t>();
      const auto* u = up.const_data_ptr<scalar_t>();
      auto* out = y.mutable_data_ptr<scalar_t>();
      at::parallel_for(0, gate.numel(), kGrain, [=](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) forward_element<kGate>(g, u, out, i);
      });
    });
  });
  return y;
}

std::pair<at::Tensor, at::Tensor> backward(Gate activation, const at::Tensor& grad, const at::Tensor& gate,
                                           const at::Tensor& up) {
  auto grad_gate = at::empty_like(gate), grad_up = at::empty_like(up);
  if (gate.is_cuda()) {
    gated_product_backward_cuda(activation, grad, gate, up, grad_gate, grad_up);
    return {grad_gate, grad_up};
  }
  dispatch_gate(activation, [&]<Gate kGate>() {
    AT_DISPATCH_FLOATING_TYPES(gate.scalar_type(), "gated_product_backward", [&] {
      const auto* dy = grad.const_data_ptr<scalar_t>();
      const auto* g = gate.const_data_ptr<scalar_t>();
      const auto* u = up.const_data_ptr<scalar_t>();
      auto* dg = grad_gate.mutable_data_ptr<scalar_t>();
      auto* du = grad_up.mutable_data_ptr<scalar_t>();
      at::parallel_for(0, gate.numel(), kGrain, [=](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) backward_element<kGate>(dy, g, u, dg, du, i);
      });
    });
  });
  return {grad_gate, grad_up};
}

struct GatedProduct : torch::autograd::Function<GatedProduct> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& gate,
                            const at::Tensor& up, int64_t activation) {
    context->save_for_backward({gate, up});
    context->saved_data["activation"] = activation;
    return bilens::forward(static_cast<Gate>(activation), gate, up);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto activation = static_cast<Gate>(context->saved_data["activation"].toInt());
    auto [grad_gate, grad_up] = bilens::backward(activation, grads[0].contiguous(), saved[0], saved[1]);
    return {grad_gate, grad_up, at::Tensor()};
  }
};

}  // namespace

const std::vector<std::pair<std::string, Gate>>& gate_names() {
  static const std::vector<std::pair<std::string, Gate>> names = {
      {"none", Gate::kNone}, {"silu", Gate::kSilu}, {"gelu", Gate::kGelu}, {"relu", Gate::kRelu}};
  return names;
}

at::Tensor gated_product(const at::Tensor& gate, const at::Tensor& up, Gate activation) {
  if (gate.sizes() != up.sizes() || gate.scalar_type() != up.scalar_type() || gate.device() != up.device()) {
    throw std::invalid_argument("gated_product: gate and up must have the same shape, dtype and device");
  }
  return GatedProduct::apply(gate.contiguous(), up.contiguous(), static_cast<int64_t>(activation));
}

}  // namespace bilens
