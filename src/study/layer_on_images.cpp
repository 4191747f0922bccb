#include "bilens/study/layer_on_images.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "bilens/tensor/shape.h"

namespace bilens {

ImageClassifier float64_copy(const ImageClassifier& model) {
  const at::NoGradGuard no_grad;
  ImageClassifier copy(model->config);
  copy->to(at::kDouble);
  const auto source = model->named_parameters();
  for (auto& item : copy->named_parameters()) item.value().copy_(source[item.key()]);
  return copy;
}

LayerOnImages layer_on_images(const ImageClassifier& model, const ImageSplit& split,
                              const LayerDecomposition& layer) {
  const at::NoGradGuard no_grad;
  const auto& c = model->config;
  if (layer.layer < 0 || layer.layer >= c.n_layers) {
    throw Error(ExitCode::kBadInput, {"layer " + std::to_string(layer.layer),
                                      "a layer of the model (0 to " + std::to_string(c.n_layers - 1) + ")",
                                      "none", "The decomposition is of another model."});
  }
  auto exact = float64_copy(model);
  const auto pixels = to_inputs(split.images, c.pixel_mean, c.pixel_std, at::kCPU, at::kDouble);
  const auto states = exact->hidden_states(pixels);
  const auto& h = states[layer.layer];
  auto y = exact->mlps[layer.layer](h);
  if (c.residual) y = y + h;
  LayerOnImages data;
  data.inputs = layer.input_space == InputSpace::kInput ? pixels : h;
  const auto along = [&](const at::Tensor& values, const at::Tensor& directions) {
    return directions.defined() ? values.matmul(directions.to(at::kDouble).t()) : values;
  };
  data.targets = along(y, layer.directions);
  data.spread = (data.targets - data.targets.mean(0)).square().sum(0);
  data.size =
      along(y.abs(), layer.directions.defined() ? layer.directions.abs() : at::Tensor()).square().sum(0);
  require_shape(data.inputs, {-1, layer.d_in}, "inputs of layer " + std::to_string(layer.layer));
  require_shape(data.targets, {-1, layer.count()}, "outputs of layer " + std::to_string(layer.layer));
  return data;
}

at::Tensor contributions(const LayerDecomposition& layer, int64_t direction, const at::Tensor& inputs) {
  const auto projections = inputs.matmul(layer.pairs.eigenvectors[direction].to(at::kDouble).t());
  return projections.square() * layer.pairs.eigenvalues[direction];
}

at::Tensor linear_part(const LayerDecomposition& layer, int64_t direction, const at::Tensor& inputs) {
  if (!layer.linear.defined()) return at::zeros({inputs.size(0)}, inputs.options());
  return inputs.mv(layer.linear[direction]) + layer.constant[direction];
}

}  // namespace bilens
