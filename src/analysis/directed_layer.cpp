#include "directed_layer.h"

#include <ATen/ATen.h>

#include "bilens/analysis/gram.h"
#include "bilens/tensor/shape.h"
#include "normalization.h"

namespace bilens {

DirectedLayer direct_layer(const EigenProblem& problem, at::Device device) {
  check_layer(problem.layer, "layer");
  const auto& stored = problem.layer;
  const auto wide = [&](const at::Tensor& tensor) { return tensor.to(device, at::kDouble); };
  const auto scaled = [](const at::Tensor& tensor, double& unit) {
    return scale_to_one(tensor, at::kDouble, unit);
  };
  DirectedLayer made{{}, 1};
  auto& layer = made.layer;
  layer.gate = scaled(wide(stored.gate), made.unit);
  layer.up = scaled(wide(stored.up), made.unit);
  if (problem.embed.defined()) {
    require_shape(problem.embed, {stored.d_in(), -1}, "embedding");
    require_finite(problem.embed, "embedding");
    double unit = 1;
    layer = fold_input(layer, scaled(wide(problem.embed), unit));
    made.unit *= unit * unit;
  }
  layer.down = stored.down.defined() ? scaled(wide(stored.down), made.unit)
                                     : at::eye(stored.d_hidden(), layer.gate.options());
  if (problem.directions.defined()) {
    require_shape(problem.directions, {-1, stored.d_out()}, "directions");
    require_finite(problem.directions, "directions");
    layer.down = scaled(scaled(wide(problem.directions), made.unit).mm(layer.down), made.unit);
  }
  return made;
}

double squared_tensor_norm(const BilinearLayer& layer) {
  return squared_frobenius({layer, {}, {}}).sum().item<double>();
}

}  // namespace bilens
