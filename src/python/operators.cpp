// torch.ops.bilens: the gated product as an operator of torch, with gradients, shapes without data (for
// torch.compile) and autocast. Loading the module registers it.

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>

#include "bilens/nn/gated_product.h"

namespace bilens::python {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Activation activation_named(const std::string& name, double beta) {
  const auto& names = gate_names();
  const auto found =
      std::find_if(names.begin(), names.end(), [&](const auto& named) { return named.first == name; });
  TORCH_CHECK_VALUE(found != names.end(), "activation: expected none, silu, gelu, gelu_tanh or relu, found ",
                    name);
  return {found->second, beta};
}

void check(const at::Tensor& gate, const at::Tensor& up) {
  TORCH_CHECK_VALUE(gate.sym_sizes() == up.sym_sizes(),
                    "gated_product: expected gate and up of one shape, found ", gate.sym_sizes(), " and ",
                    up.sym_sizes());
  TORCH_CHECK_VALUE(gate.scalar_type() == up.scalar_type(),
                    "gated_product: expected gate and up of one dtype, found ", gate.scalar_type(), " and ",
                    up.scalar_type());
  TORCH_CHECK_VALUE(gate.device() == up.device(), "gated_product: expected gate and up on one device, found ",
                    gate.device(), " and ", up.device());
  TORCH_CHECK_VALUE(at::isFloatingType(gate.scalar_type()), "gated_product: expected real numbers, found ",
                    gate.scalar_type());
}

/// The kernels know no float16: that is computed in float32 and rounded once.
at::Tensor computed(const at::Tensor& x) { return x.scalar_type() == at::kHalf ? x.to(at::kFloat) : x; }

at::Tensor forward(const at::Tensor& gate, const at::Tensor& up, const std::string& activation, double beta) {
  const at::NoGradGuard no_grad;
  check(gate, up);
  const auto f = activation_named(activation, beta);
  return gated_product(computed(gate), computed(up), f).to(gate.scalar_type());
}

std::tuple<at::Tensor, at::Tensor> backward(const at::Tensor& grad, const at::Tensor& gate,
                                            const at::Tensor& up, const std::string& activation,
                                            double beta) {
  const at::NoGradGuard no_grad;
  check(gate, up);
  auto [grad_gate, grad_up] = gated_product_backward(computed(grad), computed(gate), computed(up),
                                                     activation_named(activation, beta));
  return {grad_gate.to(gate.scalar_type()), grad_up.to(up.scalar_type())};
}

at::Tensor shape_of_forward(const at::Tensor& gate, const at::Tensor& up, const std::string&, double) {
  check(gate, up);
  return at::empty_symint(gate.sym_sizes(), gate.options());
}

std::tuple<at::Tensor, at::Tensor> shape_of_backward(const at::Tensor&, const at::Tensor& gate,
                                                     const at::Tensor& up, const std::string&, double) {
  return {at::empty_symint(gate.sym_sizes(), gate.options()), at::empty_symint(up.sym_sizes(), up.options())};
}

at::Tensor call(const at::Tensor& gate, const at::Tensor& up, const std::string& activation, double beta) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("bilens::gated_product", "")
          .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const std::string&, double)>();
  return op.call(gate, up, activation, beta);
}

const auto& backward_op() {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("bilens::gated_product_backward", "")
          .typed<std::tuple<at::Tensor, at::Tensor>(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                                    const std::string&, double)>();
  return op;
}

struct WithGradient : torch::autograd::Function<WithGradient> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate, const at::Tensor& up,
                            const std::string& activation, double beta) {
    const at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({gate, up});
    context->saved_data["activation"] = activation;
    context->saved_data["beta"] = beta;
    return call(gate, up, activation, beta);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto [gate, up] =
        backward_op().call(grads[0], saved[0], saved[1], context->saved_data["activation"].toStringRef(),
                           context->saved_data["beta"].toDouble());
    return {gate, up, at::Tensor(), at::Tensor()};
  }
};

at::Tensor with_gradient(const at::Tensor& gate, const at::Tensor& up, const std::string& activation,
                         double beta) {
  return WithGradient::apply(gate, up, activation, beta);
}

/// f and f' by torch's own operations, which have derivatives.
std::pair<at::Tensor, at::Tensor> with_derivative(const at::Tensor& z, const Activation& activation) {
  switch (activation.kind) {
    case Gate::kNone: return {z, at::ones_like(z)};
    case Gate::kRelu: return {z.relu(), z.gt(0).to(z.scalar_type())};
    case Gate::kSilu: {
      const auto s = (activation.beta * z).sigmoid();
      return {z * s, s + activation.beta * z * s * (1 - s)};
    }
    case Gate::kGeluTanh: {
      const double scale = M_SQRT2 * M_2_SQRTPI;  // 2 √(2/π)
      const auto s = (scale * z * (1 + 0.044715 * z.square())).sigmoid();
      return {z * s, s + scale * z * s * (1 - s) * (1 + 3 * 0.044715 * z.square())};
    }
    case Gate::kGelu: break;
  }
  const auto below = 0.5 * (1 + (z * M_SQRT1_2).erf());
  return {z * below, below + z * (-0.5 * z * z).exp() * (0.5 * M_2_SQRTPI * M_SQRT1_2)};
}

/// The pass back: by the kernels, and where it has to have gradients itself by torch's operations.
std::tuple<at::Tensor, at::Tensor> backward_with_gradient(const at::Tensor& grad, const at::Tensor& gate,
                                                          const at::Tensor& up, const std::string& activation,
                                                          double beta) {
  const bool again = grad.requires_grad() || gate.requires_grad() || up.requires_grad();
  if (at::GradMode::is_enabled() && again) {
    const auto [f, slope] = with_derivative(gate, activation_named(activation, beta));
    return {grad * up * slope, grad * f};
  }
  const at::AutoDispatchBelowADInplaceOrView below;
  return backward_op().call(grad, gate, up, activation, beta);
}

/// Under autocast both factors have the wider of their dtypes, as in torch's own products of elements.
at::Tensor under_autocast(const at::Tensor& gate, const at::Tensor& up, const std::string& activation,
                          double beta) {
  const c10::impl::ExcludeDispatchKeyGuard guard(
      c10::DispatchKeySet({c10::DispatchKey::AutocastCPU, c10::DispatchKey::AutocastCUDA}));
  const auto wider = at::promote_types(gate.scalar_type(), up.scalar_type());
  return call(gate.to(wider), up.to(wider), activation, beta);
}

}  // namespace

TORCH_LIBRARY(bilens, library) {
  library.def("gated_product(Tensor gate, Tensor up, str activation=\"none\", float beta=1.0) -> Tensor",
              {at::Tag::pt2_compliant_tag});
  library.def(
      "gated_product_backward(Tensor grad, Tensor gate, Tensor up, str activation, float beta) -> (Tensor, "
      "Tensor)",
      {at::Tag::pt2_compliant_tag});
}

TORCH_LIBRARY_IMPL(bilens, CPU, library) {
  library.impl("gated_product", &forward);
  library.impl("gated_product_backward", &backward);
}

TORCH_LIBRARY_IMPL(bilens, CUDA, library) {
  library.impl("gated_product", &forward);
  library.impl("gated_product_backward", &backward);
}

TORCH_LIBRARY_IMPL(bilens, Meta, library) {
  library.impl("gated_product", &shape_of_forward);
  library.impl("gated_product_backward", &shape_of_backward);
}

TORCH_LIBRARY_IMPL(bilens, Autograd, library) {
  library.impl("gated_product", &with_gradient);
  library.impl("gated_product_backward", &backward_with_gradient);
}

TORCH_LIBRARY_IMPL(bilens, AutocastCPU, library) { library.impl("gated_product", &under_autocast); }

TORCH_LIBRARY_IMPL(bilens, AutocastCUDA, library) { library.impl("gated_product", &under_autocast); }

}  // namespace bilens::python
