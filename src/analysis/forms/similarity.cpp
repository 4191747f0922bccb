#include "bilens/analysis/forms/similarity.h"

#include <ATen/ATen.h>

#include "bilens/analysis/forms/gram.h"
#include "bilens/analysis/forms/interaction.h"
#include "normalization.h"

namespace bilens {

namespace {

/// xᵀΣ^½QΣ^½x for all directions: tr(QΣQ'Σ) = ⟨Σ^½QΣ^½, Σ^½Q'Σ^½⟩.
EigenProblem whitened(const QuadraticForms& forms, const InputDistribution& x) {
  return {forms.layer, x.root, forms.directions};
}

/// Σ^½(2Qμ + l): [n, d]
at::Tensor whitened_slopes(const QuadraticForms& forms, const InputDistribution& x) {
  const InteractionOperator q(forms.layer, forms.directions);
  const auto mean = x.mean.view({1, 1, -1}).expand({q.count(), 1, x.mean.numel()});
  return (2.0 * q.apply(mean).squeeze(1) + forms.linear).mm(x.root);
}

/// W, V or a row of P, with its bias, by the power of two that brings the weights' largest entry near to 1.
void take_out_power(at::Tensor& weight, at::Tensor& bias, bool each_row) {
  const auto largest = each_row ? weight.abs().amax(1) : weight.abs().max().unsqueeze(0);
  const auto powers = binary_exponent(largest);
  const auto exponents = at::where(powers.isfinite(), powers, at::zeros_like(powers));
  weight = scale_by_power(weight, -exponents.unsqueeze(1));
  if (bias.defined()) bias = scale_by_power(bias, -exponents);
}

}  // namespace

BilinearLayer without_sizes(BilinearLayer layer) {
  take_out_power(layer.gate, layer.gate_bias, false);
  take_out_power(layer.up, layer.up_bias, false);
  if (layer.down.defined()) take_out_power(layer.down, layer.down_bias, true);
  return layer;
}

InputDistribution fit_gaussian(const at::Tensor& samples) {
  const auto mean = samples.mean(0);
  const auto centred = samples - mean;
  const auto covariance = centred.t().mm(centred) / static_cast<double>(samples.size(0));
  const auto [values, vectors] = at::linalg_eigh(covariance);
  return {mean, (vectors * values.clamp_min(0).sqrt()).mm(vectors.t())};
}

at::Tensor weight_products(const QuadraticForms& a, const QuadraticForms& b) {
  return frobenius_products({a.layer, {}, a.directions}, {b.layer, {}, b.directions});
}

at::Tensor weight_squares(const QuadraticForms& forms) {
  return squared_frobenius({forms.layer, {}, forms.directions});
}

at::Tensor data_covariances(const QuadraticForms& a, const QuadraticForms& b, const InputDistribution& x) {
  return 2.0 * frobenius_products(whitened(a, x), whitened(b, x)) +
         whitened_slopes(a, x).mm(whitened_slopes(b, x).t());
}

at::Tensor data_variances(const QuadraticForms& forms, const InputDistribution& x) {
  return 2.0 * squared_frobenius(whitened(forms, x)) + whitened_slopes(forms, x).square().sum(1);
}

at::Tensor normalize_products(const at::Tensor& products, const at::Tensor& squares_a,
                              const at::Tensor& squares_b) {
  const auto norms = squares_a.sqrt().unsqueeze(1) * squares_b.sqrt().unsqueeze(0);
  return at::where(norms > 0, products / norms, at::zeros_like(products));
}

}  // namespace bilens
