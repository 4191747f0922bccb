#include "bilens/analysis/forms/bilinear_layer.h"

#include <ATen/ATen.h>

#include "bilens/core/error.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace {

at::Tensor project(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const auto y = x.matmul(weight.t());
  return bias.defined() ? y + bias : y;
}

template <class Move>
BilinearLayer move_layer(const BilinearLayer& layer, const Move& move) {
  const auto moved = [&](const at::Tensor& tensor) { return tensor.defined() ? move(tensor) : tensor; };
  return {moved(layer.gate),      moved(layer.up),      moved(layer.down),
          moved(layer.gate_bias), moved(layer.up_bias), moved(layer.down_bias),
          layer.residual,         layer.parts,          layer.terms};
}

}  // namespace

BilinearLayer BilinearLayer::to(at::ScalarType dtype, at::Device device) const {
  return move_layer(*this, [&](const at::Tensor& tensor) { return tensor.to(device, dtype); });
}

BilinearLayer BilinearLayer::on(at::Device device) const {
  return move_layer(*this, [&](const at::Tensor& tensor) { return tensor.to(device); });
}

at::Tensor BilinearLayer::forward(const at::Tensor& x) const {
  const auto hidden = project(x, gate, gate_bias) * project(x, up, up_bias);
  auto y = down.defined() ? hidden.matmul(down.t()) : hidden;
  if (down_bias.defined()) y = y + down_bias;
  return residual ? y + x : y;
}

void check_layer(const BilinearLayer& layer, const std::string& name) {
  require_shape(layer.gate, {-1, -1}, name + ": gate");
  require_shape(layer.up, layer.gate.sizes(), name + ": up");
  if (layer.down.defined()) require_shape(layer.down, {-1, layer.d_hidden()}, name + ": down");
  if (layer.gate_bias.defined()) require_shape(layer.gate_bias, {layer.d_hidden()}, name + ": gate bias");
  if (layer.up_bias.defined()) require_shape(layer.up_bias, {layer.d_hidden()}, name + ": up bias");
  if (layer.down_bias.defined()) require_shape(layer.down_bias, {layer.d_out()}, name + ": down bias");
  if (layer.gate.numel() == 0) {
    throw Error(ExitCode::kBadInput,
                {name + ": gate", "at least one row and column", describe_shape(layer.gate.sizes()), ""});
  }
  if (layer.residual && layer.d_in() != layer.d_out()) {
    throw Error(ExitCode::kBadInput,
                {name, "equal input and output width, because of the residual",
                 std::to_string(layer.d_in()) + " and " + std::to_string(layer.d_out()), ""});
  }
  for (const auto* tensor :
       {&layer.gate, &layer.up, &layer.down, &layer.gate_bias, &layer.up_bias, &layer.down_bias}) {
    if (tensor->defined()) require_finite(*tensor, name);
  }
}

BilinearLayer fold_input(const BilinearLayer& layer, const at::Tensor& embed) {
  BilinearLayer folded = layer;
  folded.gate = layer.gate.mm(embed);
  folded.up = layer.up.mm(embed);
  folded.residual = false;
  for (auto& part : folded.parts) part = fold_input(part, embed);
  return folded;
}

BilinearLayer permute_up(const BilinearLayer& layer, const at::Tensor& order) {
  BilinearLayer permuted = layer;
  permuted.up = layer.up.index_select(0, order);
  if (layer.up_bias.defined()) permuted.up_bias = layer.up_bias.index_select(0, order);
  return permuted;
}

}  // namespace bilens
