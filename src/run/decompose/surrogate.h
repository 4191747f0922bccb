#pragma once

#include "bilens/io/safetensors.h"
#include "bilens/study/corpus_study.h"
#include "bilens/tensor/device.h"
#include "layers/layer_source.h"
#include "models/corpus.h"

namespace bilens {

/// Puts P((a(Wx + b) + o) ⊙ (Vx + c)) in the place of each gated layer of a language model, a and o fitted to
/// its activations on the study.tokens tokens that follow those which the analysis "corpus" and
/// its losses read, so that what that one measures is held out; completes source.surrogate by what they are
/// worth.
/// @param source of gated layers
/// @return the SurrogateLines of each layer, under "layer_N."
/// @throws Error(kBadInput) for a text that is shorter
NamedTensors calibrate_surrogate(LayerSource& source, const CorpusStudyConfig& study,
                                 const DeviceChoice& device, const Corpus& corpus);

}  // namespace bilens
