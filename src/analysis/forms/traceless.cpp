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

}  // namespace

BilinearLayer without_trace(const BilinearLayer& layer) {
  BilinearLayer whole = layer.to(at::kDouble, layer.gate.device());
  whole.residual = false;
  const auto w = size_of(whole.gate), v = size_of(whole.up);
  // Traces are taken of rows near to 1, so that products of tiny weights are not rounded to a multiple of
  // 2⁻¹⁰⁷⁴.
  BilinearLayer near_one;
  near_one.gate = scale_by_power(whole.gate, -w);
  near_one.up = scale_by_power(whole.up, -v);
  near_one.down = whole.down;
  const int64_t d = whole.d_in();
  const auto shifts =
      InteractionOperator(near_one, {}).trace() / static_cast<double>(d);  // of each output axis
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
