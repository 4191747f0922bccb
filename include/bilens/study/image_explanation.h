#pragma once

#include <filesystem>
#include <vector>

#include "bilens/analysis/results/decomposition.h"
#include "bilens/model/image_classifier.h"

namespace bilens {

/// One eigenvector's part of a logit: contribution = λ p², p = v·x.
struct ExplanationTerm {
  int64_t layer = 0, index = 0;
  double eigenvalue = 0, projection = 0, contribution = 0;
};

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
void write_explanation(const std::filesystem::path& directory, const ImageExplanation& explanation,
                       const std::vector<LayerDecomposition>& layers, const Json& source);

/// The terms that are written out for each class.
constexpr int64_t kExplanationTerms = 12;

Json to_json(const ImageExplanation& explanation);

}  // namespace bilens
