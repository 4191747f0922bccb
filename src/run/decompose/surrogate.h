#pragma once

#include "bilens/io/safetensors.h"
#include "bilens/study/corpus_study.h"
#include "bilens/tensor/device.h"
#include "layers/layer_source.h"
#include "models/corpus.h"

namespace bilens {

/// Puts the bilinear units that are nearest to its own in the place of those of each gated layer of a
/// language model (BilinearUnits). They are fitted to its activations on the study.tokens tokens that follow
/// those which the analysis "corpus" and its losses read, so that what that one measures is held out;
/// completes source.surrogate by what they are worth, on the first of those.
/// @param source of gated layers
/// @return the SurrogateUnits of each layer, under "layer_N."
/// @throws Error(kBadInput) for a text that is shorter, and for activations that are not finite
NamedTensors calibrate_surrogate(LayerSource& source, const CorpusStudyConfig& study,
                                 const DeviceChoice& device, const Corpus& corpus);

}  // namespace bilens
