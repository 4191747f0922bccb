#pragma once

#include "bilens/data/image_dataset.h"
#include "bilens/model/image_classifier.h"
#include "bilens/records/decomposition.h"

namespace bilens {

/// What a layer's decomposition speaks about, on real images: the form's inputs and its values, both float64
/// on the CPU.
struct LayerOnImages {
  at::Tensor inputs;   // X [N, d_in], in the decomposition's input space
  at::Tensor targets;  // T [N, n], u·y of the model itself: u·MLP(h), + u·h with a residual
  at::Tensor spread;   // [n], Σ(t − t̄)² over the images
  at::Tensor size;     // [n], Σ(Σ_j |u_j y_j|)²: what rounding of the targets follows (r_squared.h)
};

/// A copy of a classifier in float64, on the CPU.
ImageClassifier float64_copy(const ImageClassifier& model);

/// Runs the model in float64 up to the layer. For the last layer's "outputs" the targets are the logits
/// (centred when the directions are).
/// @throws Error(kBadInput) when decomposition and model do not fit
LayerOnImages layer_on_images(const ImageClassifier& model, const ImageSplit& split,
                              const LayerDecomposition& layer);

/// λ_i p_i² of one direction for its first k eigenpairs: [N, k].
at::Tensor contributions(const LayerDecomposition& layer, int64_t direction, const at::Tensor& inputs);

/// l·x + c of one direction: [N]; zero without linear parts.
at::Tensor linear_part(const LayerDecomposition& layer, int64_t direction, const at::Tensor& inputs);

}  // namespace bilens
