#pragma once

#include <optional>

#include "bilens/study/layer_on_images.h"

namespace bilens {

/// What is left of a layer, on real images, when joint or CP factors stand in its place; nothing is refitted.
struct Reconstruction {
  int64_t layer = 0;
  at::Tensor data_r2;         // [n] float64: 1 − Σ(t − t̂)² / Σ(t − t̄)²; NaN for a constant t
  double relative_error = 0;  // ‖T̂ − T‖_F / ‖T‖_F
  std::optional<double> accuracy, loss;  // of the classifier, where the layer's outputs are the logits
};

/// @param layer decomposed by a method whose factors are a layer (approximate_layer)
/// @param labels int64 [N] of logits, or undefined
/// @return nothing for the other methods
std::optional<Reconstruction> measure_reconstruction(const LayerDecomposition& layer,
                                                     const LayerOnImages& data, const at::Tensor& labels);

}  // namespace bilens
