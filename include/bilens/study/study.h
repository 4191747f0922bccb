#pragma once

#include <filesystem>

#include "bilens/study/importance.h"
#include "bilens/study/reconstruction.h"
#include "bilens/study/truncation.h"
#include "bilens/train/evaluate.h"

namespace bilens {

struct StudyConfig {
  bool truncation = true;
  bool exactness = true;
  bool importance = true;
  int64_t examples = 8;  // images shown for each side of an eigenvector
};

/// A model together with its decomposition on real images.
struct Study {
  Json data;  // dataset, split, examples
  Evaluation evaluation;
  std::vector<TruncationCurve> truncation;  // of the layer whose outputs are the logits
  std::vector<Exactness> exactness;
  std::vector<Importance> importance;
  std::vector<Reconstruction> reconstruction;  // of layers with joint or CP factors
};

/// What the config asks of each layer and its method has; reconstructions always.
Study make_study(ImageClassifier& model, const ImageSplit& split, const Decomposition& decomposition,
                 const StudyConfig& config);

/// Writes study.json and study.safetensors (docs/formats.md) with the images that the examples name.
void write_study(const std::filesystem::path& directory, const Study& study, const ImageSplit& split);

}  // namespace bilens
