#pragma once

#include <filesystem>
#include <vector>

#include "bilens/model/image_classifier.h"
#include "bilens/records/decomposition.h"
#include "bilens/records/image_explanation.h"

namespace bilens {

/// A class's logit as a sum: shared + direct + linear + Σ terms. Where the layers are centred, all but
/// `shared` is of the logit above the mean of all classes.
struct LogitExplanation {
  double logit = 0;                    // of the model, float32 as it runs
  double shared = 0;                   // that mean, the same for each class; 0 where nothing is centred
  double direct = 0;                   // u·Ex, with a residual
  double linear = 0;                   // biases: Σ over layers of l·h + c
  std::vector<ExplanationTerm> terms;  // all, by falling |contribution|

  double sum() const;
};

struct ImageExplanation {
  at::Tensor image;  // uint8 [height, width]
  int64_t prediction = 0;
  std::vector<LogitExplanation> classes;
};

/// Splits the logits of one image over all eigenvectors of all layers that reach the head linearly, exactly.
/// @param layers decompositions of these layers' MLPs alone (no residual) along the head's rows, all centred
/// by their mean or none, in all eigenpairs, float64; the last one is the model's last
/// @param image uint8 [height, width]
ImageExplanation explain_image(ImageClassifier& model, const std::vector<LayerDecomposition>& layers,
                               const at::Tensor& image);

/// explanation.json and explanation.safetensors: the sums, the terms with the largest |contribution| of each
/// class, and their eigenvectors (docs/formats.md).
/// @param record of that explanation
void write_explanation(const std::filesystem::path& directory, const ImageExplanation& explanation,
                       const std::vector<LayerDecomposition>& layers, const ImageExplanationRecord& record);

/// The prediction and the classes, with the 12 largest terms of each, in a record of the rest.
/// @param source the model and the image
ImageExplanationRecord record_of(const ImageExplanation& explanation, ImageExplanationRecord source);

}  // namespace bilens
