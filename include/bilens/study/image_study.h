#pragma once

#include <string>

#include "bilens/records/image_record.h"
#include "bilens/study/layer_on_images.h"

namespace bilens {

struct ImageStudyConfig {
  bool truncation = true;
  bool exactness = true;
  bool importance = true;
  int64_t examples = 8;  // images shown for each side of an eigenvector
};

/// What the config asks of each layer and its method has, on the test images; reconstructions always. The
/// sufficient k is chosen on the validation images where there are some, and else on the test images, on
/// which it is shown: then nothing is left to tell how well the choice holds.
/// @param dataset the name of the images
ImageStudy make_image_study(ImageClassifier& model, const ImageDataset& images, const std::string& dataset,
                            const Decomposition& decomposition, const ImageStudyConfig& config);

}  // namespace bilens
