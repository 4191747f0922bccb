#include "bilens/analysis/similarity.h"

#include <ATen/ATen.h>

#include "bilens/analysis/interaction.h"

namespace bilens {

namespace {

at::Tensor scales(const QuadraticForms& forms) {
  return forms.layer.down.defined() ? forms.directions.mm(forms.layer.down) : forms.directions;
}

BilinearLayer through(const BilinearLayer& layer, const at::Tensor& map) {
  BilinearLayer mapped;
  mapped.gate = layer.gate.mm(map);
  mapped.up = layer.up.mm(map);
  mapped.down = layer.down;
  return mapped;
}

/// Σ^½(2Qμ + l): [n, d]
at::Tensor whitened_slopes(const QuadraticForms& forms, const InputDistribution& x) {
  const InteractionOperator q(forms.layer, forms.directions);
  const auto mean = x.mean.view({1, 1, -1}).expand({q.count(), 1, x.mean.numel()});
  return (2.0 * q.apply(mean).squeeze(1) + forms.linear).mm(x.root);
}

}  // namespace

InputDistribution fit_gaussian(const at::Tensor& samples) {
  const auto mean = samples.mean(0);
  const auto centred = samples - mean;
  const auto covariance = centred.t().mm(centred) / static_cast<double>(samples.size(0));
  const auto [values, vectors] = at::linalg_eigh(covariance);
  return {mean, (vectors * values.clamp_min(0).sqrt()).mm(vectors.t())};
}

at::Tensor weight_products(const QuadraticForms& a, const QuadraticForms& b) {
  return scales(a).mm(interaction_gram(a.layer, b.layer)).mm(scales(b).t());
}

at::Tensor data_covariances(const QuadraticForms& a, const QuadraticForms& b, const InputDistribution& x) {
  // tr(QΣQ'Σ) = ⟨Σ^½QΣ^½, Σ^½Q'Σ^½⟩: the same Gram matrix with W, V → WΣ^½, VΣ^½.
  const auto gram = interaction_gram(through(a.layer, x.root), through(b.layer, x.root));
  const auto quadratic = scales(a).mm(gram).mm(scales(b).t());
  return 2.0 * quadratic + whitened_slopes(a, x).mm(whitened_slopes(b, x).t());
}

at::Tensor normalize_products(const at::Tensor& ab, const at::Tensor& aa, const at::Tensor& bb) {
  const auto norms =
      aa.diagonal().clamp_min(0).sqrt().unsqueeze(1) * bb.diagonal().clamp_min(0).sqrt().unsqueeze(0);
  return at::where(norms > 0, ab / norms, at::zeros_like(ab));
}

}  // namespace bilens
