#pragma once

#include <map>
#include <vector>

#include "bilens/analysis/factors/weighted.h"
#include "bilens/records/layer_decomposition.h"
#include "decompose_data.h"

namespace bilens {

/// The inputs that weight each layer, by its number.
using Weightings = std::map<int64_t, InputWeighting>;

/// Reads them for the layers that a config wants: a classifier's of the training images, a language model's
/// of the corpus.tokens tokens behind those that the analysis "corpus" reads.
/// @throws Error(kBadInput) for inputs that do not vary, and for a text that is shorter; Stopped
Weightings read_weightings(const LayerSource& source, const DecomposeRunConfig& config,
                           const DecomposeData& data);

/// Completes the weighted factors of a model's layers by what they come to on other inputs: test images, or
/// the tokens that the analysis "corpus" reads. @throws Stopped
void measure_weighted(const LayerSource& source, const DecomposeRunConfig& config, const DecomposeData& data,
                      std::vector<LayerDecomposition>& layers);

/// Bytes beside the model and a layer's eigenpairs, at most. @param d of the space that is decomposed
int64_t weighting_bytes(int64_t layers, int64_t d);

}  // namespace bilens
