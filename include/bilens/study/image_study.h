#pragma once

#include <filesystem>
#include <optional>

#include "bilens/study/importance.h"
#include "bilens/study/reconstruction.h"
#include "bilens/study/truncation.h"
#include "bilens/train/image_evaluation.h"

namespace bilens {

struct ImageStudyConfig {
  bool truncation = true;
  bool exactness = true;
  bool importance = true;
  int64_t examples = 8;  // images shown for each side of an eigenvector
};

/// Curves of one layer. The sufficient k is chosen on the validation images where there are some, and else on
/// the test images, on which it is shown: then nothing is left to tell how well the choice holds.
struct Truncation {
  TruncationCurve test;
  std::optional<TruncationCurve> validation;
  std::optional<size_t> chosen;  // its place in both
};

/// A model together with its decomposition on real images.
struct ImageStudy {
  std::string dataset;
  ImageEvaluation evaluation;                 // on the test images, as all that follows
  std::optional<ImageEvaluation> validation;  // on those that k is chosen on
  std::vector<Truncation> truncation;         // of the layer whose outputs are the logits
  std::vector<Exactness> exactness;
  std::vector<Importance> importance;
  std::vector<Reconstruction> reconstruction;  // of layers with joint or CP factors
};

/// What the config asks of each layer and its method has, on the test images; reconstructions always.
ImageStudy make_image_study(ImageClassifier& model, const ImageDataset& images,
                            const Decomposition& decomposition, const ImageStudyConfig& config);

/// Writes study.json and study.safetensors (docs/formats.md) with the images that the examples name.
/// @param test the images that the study was made on
void write_image_study(const std::filesystem::path& directory, const ImageStudy& study,
                       const ImageSplit& test);

}  // namespace bilens
