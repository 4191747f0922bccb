#include "bilens/analysis/forms/traceless.h"

#include <ATen/ATen.h>

#include "bilens/analysis/forms/difference.h"
#include "bilens/analysis/forms/interaction.h"
#include "normalization.h"

namespace bilens {

namespace {

/// The exponent of the power of two below the weight's largest entry, 0 for zeros: a scalar.
at::Tensor size_of(const at::Tensor& weight) {
  const auto exponent = binary_exponent(weight.abs().max());
  return at::where(exponent.isfinite(), exponent, at::zeros_like(exponent));
}

/// W and V each over the power of two near its largest entry: products of tiny weights are then not rounded
/// to a multiple of 2⁻¹⁰⁷⁴, and those of huge ones stay in range. @param w, v those powers' exponents
BilinearLayer near_one(const BilinearLayer& layer, const at::Tensor& w, const at::Tensor& v) {
  BilinearLayer scaled;
  scaled.gate = scale_by_power(layer.gate.to(at::kDouble), -w);
  scaled.up = scale_by_power(layer.up.to(at::kDouble), -v);
  scaled.down = layer.down;
  return scaled;
}

}  // namespace

at::Tensor mean_eigenvalues(const BilinearLayer& layer, const at::Tensor& directions) {
  const auto w = size_of(layer.gate), v = size_of(layer.up);
  const auto traces = InteractionOperator(near_one(layer, w, v), directions).trace();
  return scale_by_power(traces / static_cast<double>(layer.d_in()), (w + v).expand_as(traces));
}

BilinearLayer without_trace(const BilinearLayer& layer) {
  BilinearLayer whole = layer.to(at::kDouble, layer.gate.device());
  whole.residual = false;
  const auto w = size_of(whole.gate), v = size_of(whole.up);
  const int64_t d = whole.d_in();
  const auto shifts =
      InteractionOperator(near_one(whole, w, v), {}).trace() / static_cast<double>(d);  // of each output axis
  const auto axes = at::eye(d, whole.gate.options());
  BilinearLayer sphere;
  // Of the size of W and V, so that scaling the joined weights to one keeps both.
  sphere.gate = scale_by_power(axes, w);
  sphere.up = scale_by_power(axes, v);
  sphere.down = shifts.unsqueeze(1).expand({-1, d});
  BilinearLayer rest = subtract(whole, sphere);
  rest.residual = layer.residual;
  return rest;
}

}  // namespace bilens
