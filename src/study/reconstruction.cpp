#include "bilens/study/reconstruction.h"

#include <ATen/ATen.h>

#include "bilens/analysis/factors/method.h"
#include "bilens/tensor/r_squared.h"
#include "bilens/train/image_evaluation.h"

namespace bilens {

std::optional<Reconstruction> measure_reconstruction(const LayerDecomposition& layer,
                                                     const LayerOnImages& data, const at::Tensor& labels) {
  const auto stand_in = layer.factors ? approximate_layer(*layer.factors) : std::nullopt;
  if (!stand_in) return std::nullopt;
  auto rebuilt = stand_in->forward(data.inputs);
  if (layer.linear.defined()) rebuilt = rebuilt + data.inputs.mm(layer.linear.t()) + layer.constant;
  const auto error = rebuilt - data.targets;
  const double norm = data.targets.norm().item<double>();
  Reconstruction result;
  result.layer = layer.layer;
  result.data_r2 = r_squared(error.square().sum(0), data.spread, data.size, at::kDouble);
  result.relative_error = error.norm().item<double>() / (norm > 0 ? norm : 1.0);
  if (labels.defined()) {
    const auto evaluation = evaluate_logits(rebuilt, labels);
    result.accuracy = evaluation.accuracy;
    result.loss = evaluation.loss;
  }
  return result;
}

}  // namespace bilens
