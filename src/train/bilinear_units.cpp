#include "bilens/train/bilinear_units.h"

#include <ATen/ATen.h>

namespace bilens {

namespace {

/// s for each unit, so that s W and V / s have rows of equal norm; 1 where one of them is 0.
at::Tensor balance(const BilinearFactors& layer) {
  const int64_t inputs = layer.gate.size(1) - (layer.has_biases() ? 1 : 0);
  const auto norms = [&](const at::Tensor& rows) { return rows.narrow(1, 0, inputs).norm(2, {1}, true); };
  const auto ratio = (norms(layer.up) / norms(layer.gate)).sqrt();
  return at::where((ratio > 0).logical_and(ratio.isfinite()), ratio, at::ones_like(ratio));
}

}  // namespace

at::Tensor BilinearUnits::products(const at::Tensor& z, const at::Tensor& y) const {
  return (z + gate_shift) * (up_scale * y + up_gate * z + up_shift) + constant;
}

BilinearFactors BilinearUnits::in(const BilinearFactors& layer) const {
  const auto as_layer = [&](const at::Tensor& numbers) {
    return numbers.to(layer.gate.device(), layer.gate.scalar_type());
  };
  auto result = layer;
  result.up = as_layer(up_scale).unsqueeze(1) * layer.up + as_layer(up_gate).unsqueeze(1) * layer.gate;
  if (layer.has_biases()) {
    const int64_t bias = layer.gate.size(1) - 1, units = layer.gate.size(0);
    result.gate = layer.gate.clone(), result.down = layer.down.clone();
    result.gate.select(1, bias) += as_layer(gate_shift);
    result.up.select(1, bias) += as_layer(up_shift);
    result.down.select(1, units) += layer.down.narrow(1, 0, units).mv(as_layer(constant));
  }
  const auto scale = balance(result);
  result.gate = result.gate * scale, result.up = result.up / scale;
  return result;
}

}  // namespace bilens
