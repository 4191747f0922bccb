#include "directed_layer.h"

#include <ATen/ATen.h>

#include <cmath>

#include "bilens/analysis/forms/gram.h"
#include "bilens/analysis/forms/rounding_floor.h"
#include "bilens/core/error.h"
#include "bilens/core/text.h"
#include "bilens/tensor/shape.h"
#include "normalization.h"

namespace bilens {

namespace {

/// @param what in the plural
void require_size(bool held, const std::string& what, double size) {
  if (held) return;
  throw Error(ExitCode::kBadInput,
              {"layer", what + " that float64 holds to its precision", format("a size of %.3g", size),
               std::string(size < 1 ? "Multiply" : "Divide") + " the weights by a power of two."});
}

}  // namespace

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
  require_size(std::isnormal(made.unit), "interactions", made.unit);
  return made;
}

double squared_tensor_norm(const BilinearLayer& layer) {
  return squared_frobenius({layer, {}, {}}).sum().item<double>();
}

WholeTensor whole_tensor(const EigenProblem& problem, at::Device device) {
  WholeTensor whole{direct_layer(problem, device), 0, 0, false};
  whole.squared_norm = squared_tensor_norm(whole.layer);
  const double stored = whole.squared_norm * whole.unit * whole.unit;
  require_size(whole.squared_norm == 0 || std::isnormal(stored), "squares of interactions", stored);
  if (problem.layer.parts.empty()) return whole;
  whole.floor = gram_floor(problem.on(device)) / whole.unit;
  whole.unchanged = std::sqrt(whole.squared_norm) <= whole.floor;
  if (!whole.unchanged) return whole;
  whole.layer.down = at::zeros_like(whole.layer.down);
  whole.squared_norm = 0;
  return whole;
}

}  // namespace bilens
