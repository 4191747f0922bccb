#pragma once

#include <optional>

#include "bilens/records/image_record.h"
#include "bilens/study/layer_on_images.h"

namespace bilens {

/// What is left of a layer, on real images, when joint or CP factors stand in its place; nothing is refitted.
/// @param layer decomposed by a method whose factors are a layer (approximate_layer)
/// @param labels int64 [N] of logits, or undefined
/// @return nothing for the other methods
std::optional<Reconstruction> measure_reconstruction(const LayerDecomposition& layer,
                                                     const LayerOnImages& data, const at::Tensor& labels);

}  // namespace bilens
