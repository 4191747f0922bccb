#pragma once

#include "bilens/study/adversarial_masks.h"

namespace bilens {

struct AttackConfig {
  int64_t images = 0;            // the first ones of the test images; 0: all
  int64_t bounded_images = 100;  // of these, the first ones whose changes are also bounded within [0, 1]
  int64_t gradient_steps = 40;   // 0: no such attack
  int64_t shown = 12;            // images whose changes are kept as pictures
  MaskConfig masks;
};

/// How far the test images are from another class, by proved bounds and by what was found, and what masks do.
/// @param dataset the name of the images
/// @return all but model, model_sha256 and version
/// @throws Error(kBadInput) for a classifier of several layers, with a gate, or with one class; Stopped
AttackRecord attack_classifier(ImageClassifier& model, const ImageDataset& images, const std::string& dataset,
                               const AttackConfig& config);

}  // namespace bilens
