#pragma once

#include <optional>

#include "bilens/data/image_dataset.h"
#include "decompose_config.h"
#include "models/corpus.h"

namespace bilens {

/// The images that a classifier is studied on.
struct StudyImages {
  std::string dataset;
  ImageDataConfig config;
  ImageDataset data;
};

/// Whether bilinear units are to be fitted to the model's own; a bilinear model has no others.
bool is_calibrated(std::optional<SurrogateKind> asked, const LayerSource& source);

/// What studies and surrogates of a model read beside its weights.
struct DecomposeData {
  std::optional<StudyImages> images;
  std::optional<Corpus> corpus;
};

/// Images for a classifier, those that it was made for, where an analysis or the weighting wants any and no
/// other model is subtracted; a text for a language model, where an analysis, the weighting or the surrogate
/// wants it.
/// @param data_spec of the command line, "" without
/// @throws Error(kUsage) where there are none to weight by, and no text
DecomposeData open_data(const LayerSource& source, const DecomposeRunConfig& config,
                        const std::string& data_spec);

}  // namespace bilens
