#pragma once

#include <optional>

#include "bilens/data/image_dataset.h"
#include "decompose_config.h"
#include "models/corpus.h"

namespace bilens {

/// Images for the studies of a classifier, those that it was made for; none where no analysis wants any.
/// @param data_spec of the command line, "" without
std::optional<ImageDataConfig> find_images(const LayerSource& source, const DecomposeRunConfig& config,
                                           const std::string& data_spec);

/// Whether lines are to be fitted to the model's activations; a bilinear one has none.
bool is_calibrated(const DecomposeRunConfig& config, const LayerSource& source);

/// The text, if an analysis or the surrogate wants it.
std::optional<Corpus> find_corpus(const LayerSource& source, const DecomposeRunConfig& config,
                                  const std::string& data_spec);

}  // namespace bilens
