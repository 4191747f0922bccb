#include "bilens/analysis/interaction.h"

#include <ATen/ATen.h>

namespace bilens {

InteractionOperator::InteractionOperator(BilinearLayer layer, const at::Tensor& directions)
    : layer_(std::move(layer)),
      directions_(directions.defined() ? directions : at::eye(layer_.d_out(), layer_.gate.options())),
      scales_(layer_.down.defined() ? directions_.mm(layer_.down) : directions_) {}

at::Tensor InteractionOperator::apply(const at::Tensor& x) const {
  const auto s = scales_.unsqueeze(2);
  const auto half = at::matmul(layer_.gate.t(), s * at::matmul(layer_.up, x)) +
                    at::matmul(layer_.up.t(), s * at::matmul(layer_.gate, x));
  return half * 0.5;
}

at::Tensor InteractionOperator::form(int64_t first, int64_t count) const {
  const auto s = scales_.narrow(0, first, count).unsqueeze(2);
  const auto one_side = at::matmul(layer_.gate.t(), s * layer_.up);  // Wᵀ diag(s) V
  return (one_side + one_side.mT()) * 0.5;
}

at::Tensor InteractionOperator::trace() const { return scales_.mv((layer_.gate * layer_.up).sum(1)); }

at::Tensor InteractionOperator::squared_frobenius() const {
  const auto gram = interaction_gram(layer_, layer_);
  return (scales_.mm(gram) * scales_).sum(1).clamp_min(0);
}

at::Tensor InteractionOperator::linear() const {
  auto sum = at::zeros({count(), dimension()}, layer_.gate.options());
  if (layer_.up_bias.defined()) sum = sum + (scales_ * layer_.up_bias).mm(layer_.gate);
  if (layer_.gate_bias.defined()) sum = sum + (scales_ * layer_.gate_bias).mm(layer_.up);
  return layer_.residual ? sum + directions_ : sum;
}

at::Tensor InteractionOperator::constant() const {
  auto sum = at::zeros({count()}, layer_.gate.options());
  if (layer_.gate_bias.defined() && layer_.up_bias.defined())
    sum = sum + scales_.mv(layer_.gate_bias * layer_.up_bias);
  return layer_.down_bias.defined() ? sum + directions_.mv(layer_.down_bias) : sum;
}

at::Tensor interaction_gram(const BilinearLayer& a, const BilinearLayer& b) {
  return 0.5 * (a.gate.mm(b.gate.t()) * a.up.mm(b.up.t()) + a.gate.mm(b.up.t()) * a.up.mm(b.gate.t()));
}

}  // namespace bilens
