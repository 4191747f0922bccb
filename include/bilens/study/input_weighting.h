#pragma once

#include <vector>

#include "bilens/analysis/forms/input_moments.h"
#include "bilens/data/image_dataset.h"
#include "bilens/model/image_classifier.h"
#include "bilens/records/layer_decomposition.h"
#include "bilens/study/mlp_gains.h"
#include "bilens/study/text_windows.h"

namespace bilens {

/// A layer of a language model whose inputs are read, with the gains that were folded into it.
struct GainedLayer {
  int64_t number = 0;
  MlpGains gains;
};

/// μ and Σ of what a classifier's layer reads of images, in the space that is decomposed.
/// @param layer number, spaces and sizes @throws Error(kBadInput) where they do not fit; Stopped
InputMoments moments_on_images(const ImageClassifier& model, const ImageSplit& split,
                               const LayerDecomposition& layer);

/// μ and Σ of what layers of a language model read of text, one pair for each layer; float64 sums of float32
/// activations.
/// Memory beside the model: 16 d² bytes a layer. @throws Stopped
std::vector<InputMoments> moments_on_text(Decoder& model, const TextWindows& text,
                                          const std::vector<GainedLayer>& layers);

/// Completes weighted factors by what they come to on images that gave no Σ. @throws Stopped
void measure_on_images(const ImageClassifier& model, const ImageSplit& split, LayerDecomposition& layer);

/// Completes them by what they come to on text that gave no Σ. @param layers, gains of the same layers
/// @throws Stopped
void measure_on_text(Decoder& model, const TextWindows& text, std::vector<LayerDecomposition>& layers,
                     const std::vector<GainedLayer>& gains);

}  // namespace bilens
