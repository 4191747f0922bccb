#pragma once

#include "bilens/records/image_record.h"
#include "bilens/study/layer_on_images.h"

namespace bilens {

/// What each eigenvector of a layer does on images. Its examples are rows of the split that `data` is of,
/// int64.
/// @param examples how many images are named for each side of an eigenvector
Importance measure_importance(const LayerDecomposition& layer, const LayerOnImages& data, int64_t examples);

}  // namespace bilens
