#include "bilens/analysis/traceless.h"

#include <ATen/ATen.h>

#include "bilens/analysis/difference.h"
#include "bilens/analysis/interaction.h"

namespace bilens {

namespace {

double largest_entry(const at::Tensor& weight) {
  const double largest = weight.abs().max().item<double>();
  return largest > 0 ? largest : 1.0;
}

}  // namespace

BilinearLayer without_trace(const BilinearLayer& layer) {
  BilinearLayer whole = layer.to(at::kDouble, layer.gate.device());
  whole.residual = false;
  const int64_t d = whole.d_in();
  const auto axes = at::eye(d, whole.gate.options());
  // Of the size of W and V, so that scaling the joined weights to one keeps both.
  const double w = largest_entry(whole.gate), v = largest_entry(whole.up);
  const auto shifts = InteractionOperator(whole, {}).trace() / static_cast<double>(d);  // of each output axis
  BilinearLayer sphere;
  sphere.gate = axes * w;
  sphere.up = axes * v;
  sphere.down = (shifts / w / v).unsqueeze(1).expand({-1, d});
  BilinearLayer rest = subtract(whole, sphere);
  rest.residual = layer.residual;
  return rest;
}

}  // namespace bilens
