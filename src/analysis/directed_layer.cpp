#include "directed_layer.h"

#include <ATen/ATen.h>

#include "bilens/analysis/gram.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace {

at::Tensor scale_to_one(const at::Tensor& tensor, double& unit) {
  const double largest = tensor.abs().max().item<double>();
  if (largest == 0) return tensor;
  unit *= largest;
  return tensor / largest;
}

}  // namespace

DirectedLayer direct_layer(const EigenProblem& problem, at::Device device) {
  check_layer(problem.layer, "layer");
  const auto& stored = problem.layer;
  const auto wide = [&](const at::Tensor& tensor) { return tensor.to(device, at::kDouble); };
  DirectedLayer made{{}, 1};
  auto& layer = made.layer;
  layer.gate = scale_to_one(wide(stored.gate), made.unit);
  layer.up = scale_to_one(wide(stored.up), made.unit);
  if (problem.embed.defined()) {
    require_shape(problem.embed, {stored.d_in(), -1}, "embedding");
    require_finite(problem.embed, "embedding");
    double unit = 1;
    layer = fold_input(layer, scale_to_one(wide(problem.embed), unit));
    made.unit *= unit * unit;
  }
  layer.down = stored.down.defined() ? scale_to_one(wide(stored.down), made.unit)
                                     : at::eye(stored.d_hidden(), layer.gate.options());
  if (problem.directions.defined()) {
    require_shape(problem.directions, {-1, stored.d_out()}, "directions");
    require_finite(problem.directions, "directions");
    layer.down = scale_to_one(scale_to_one(wide(problem.directions), made.unit).mm(layer.down), made.unit);
  }
  return made;
}

double squared_tensor_norm(const BilinearLayer& layer) {
  return squared_frobenius({layer, {}, {}}).sum().item<double>();
}

at::Tensor orient(const at::Tensor& vectors) {
  const auto sign = vectors.gather(-1, vectors.abs().argmax(-1, /*keepdim=*/true)).sign();
  return vectors * at::where(sign == 0, at::ones_like(sign), sign);
}

}  // namespace bilens
