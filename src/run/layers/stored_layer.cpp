#include "stored_layer.h"

#include <ATen/ATen.h>

#include "bilens/model/partial_weights.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace {

at::Tensor read_real(const Weights& weights, const std::string& expression) {
  if (expression.empty()) return {};
  require_real(weights, parse_tensor_expression(expression).name);
  return read_expression(weights, expression);
}

/// g [size], or 1 + w, in float64.
at::Tensor read_gain(const Weights& weights, const std::string& name, bool one_plus, int64_t size) {
  const auto stored = read_real(weights, name);
  require_shape(stored, {size}, weights.path().string() + ": " + name);
  require_finite(stored, weights.path().string() + ": " + name);
  const auto gain = stored.to(at::kDouble);
  return one_plus ? gain + 1 : gain;
}

/// bias + matrix·β; either may be undefined.
at::Tensor add_through(const at::Tensor& bias, const at::Tensor& matrix, const at::Tensor& beta) {
  const auto shift = matrix.mv(beta);
  return bias.defined() ? bias + shift : shift;
}

bool is_of_one_dtype(const BilinearLayer& layer) {
  for (const auto* tensor : {&layer.up, &layer.down, &layer.gate_bias, &layer.up_bias, &layer.down_bias})
    if (tensor->defined() && tensor->scalar_type() != layer.gate.scalar_type()) return false;
  return true;
}

void fold_front(const Weights& weights, const StoredLayer& stored, BilinearLayer& layer) {
  const int64_t d = layer.d_in();
  if (!stored.gain_bias.empty()) {
    const auto beta = read_gain(weights, stored.gain_bias, false, d);
    layer.gate_bias = add_through(layer.gate_bias, layer.gate, beta);
    layer.up_bias = add_through(layer.up_bias, layer.up, beta);
  }
  const auto gain = read_gain(weights, stored.gain, stored.one_plus, d);
  layer.gate = layer.gate * gain;
  layer.up = layer.up * gain;
}

void fold_behind(const Weights& weights, const StoredLayer& stored, BilinearLayer& layer) {
  const auto gain = read_gain(weights, stored.behind, stored.one_plus, layer.d_out());
  layer.down = layer.down.defined() ? layer.down * gain.unsqueeze(1) : at::diag(gain);
  if (layer.down_bias.defined()) layer.down_bias = layer.down_bias * gain;
}

}  // namespace

BilinearLayer read_matrices(const Weights& weights, const MlpNames& names, const std::string& where) {
  BilinearLayer layer;
  layer.gate = read_real(weights, names.gate);
  layer.up = read_real(weights, names.up);
  layer.down = read_real(weights, names.down);
  layer.gate_bias = read_real(weights, names.gate_bias);
  layer.up_bias = read_real(weights, names.up_bias);
  layer.down_bias = read_real(weights, names.down_bias);
  check_layer(layer, where);
  return layer;
}

BilinearLayer read_layer(const Weights& weights, const StoredLayer& stored, const std::string& where) {
  auto layer = read_matrices(weights, stored.names, where);
  if (stored.gain.empty() && stored.behind.empty() && is_of_one_dtype(layer)) return layer;
  layer = layer.to(at::kDouble, at::kCPU);
  if (!stored.gain.empty()) fold_front(weights, stored, layer);
  if (!stored.behind.empty()) fold_behind(weights, stored, layer);
  return layer;
}

}  // namespace bilens
