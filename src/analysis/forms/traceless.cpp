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

/// The layer, float64, less shifts ‖x‖² of each output axis. @param shifts [m] over 2^(w + v)
BilinearLayer take_off(BilinearLayer whole, const at::Tensor& shifts, const at::Tensor& w,
                       const at::Tensor& v) {
  const bool residual = whole.residual;
  whole.residual = false;
  const int64_t d = whole.d_in();
  const auto axes = at::eye(d, whole.gate.options());
  BilinearLayer sphere;
  // The sphere's W and V are as large as the layer's, so that scaling the joined weights to one keeps both.
  sphere.gate = scale_by_power(axes, w);
  sphere.up = scale_by_power(axes, v);
  sphere.down = shifts.unsqueeze(1).expand({-1, d});
  BilinearLayer rest = subtract(whole, sphere);
  rest.residual = residual;
  return rest;
}

}  // namespace

at::Tensor mean_eigenvalues(const BilinearLayer& layer, const at::Tensor& directions) {
  const auto w = size_of(layer.gate), v = size_of(layer.up);
  const auto traces = InteractionOperator(near_one(layer, w, v), directions).trace();
  return scale_by_power(traces / static_cast<double>(layer.d_in()), (w + v).expand_as(traces));
}

BilinearLayer without_trace(const BilinearLayer& layer) {
  const BilinearLayer whole = layer.to(at::kDouble, layer.gate.device());
  const auto w = size_of(whole.gate), v = size_of(whole.up);
  const auto traces = InteractionOperator(near_one(whole, w, v), {}).trace();  // of each output axis
  return take_off(whole, traces / static_cast<double>(whole.d_in()), w, v);
}

BilinearLayer without_length(const BilinearLayer& layer, const at::Tensor& shifts) {
  const BilinearLayer whole = layer.to(at::kDouble, layer.gate.device());
  const auto w = size_of(whole.gate), v = size_of(whole.up);
  return take_off(whole, scale_by_power(shifts, -(w + v).expand_as(shifts)), w, v);
}

}  // namespace bilens
