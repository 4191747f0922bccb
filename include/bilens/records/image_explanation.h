#pragma once

#include "bilens/records/explanation_term.h"
#include "bilens/records/layer_decomposition.h"

namespace bilens {

/// A class's logit as a sum, with its largest terms.
struct LogitRecord {
  int64_t number = 0;  // of the class
  double logit = 0, sum = 0, shared = 0, direct = 0, linear = 0;
  std::vector<ExplanationTerm> terms;
  double other_terms = 0;

  static const RecordTable<LogitRecord>& record();
};

/// explanation.json of an image.
struct ImageExplanationRecord {
  static constexpr RecordFormat kFormat = {"bilens-explanation", 1};
  static constexpr const char* kFile = "explanation.json";
  static constexpr const char* kTensorFile = "explanation.safetensors";

  std::string model, input;
  std::optional<int64_t> label;
  std::vector<int64_t> image_shape;
  double pixel_mean = 0, pixel_std = 1;
  InputSpace input_space = InputSpace::kInput;  // of the first layer that is explained
  std::optional<Center> center;                 // nothing in files of earlier versions
  int64_t prediction = 0;
  std::vector<LogitRecord> classes;

  static const RecordTable<ImageExplanationRecord>& record();
};

/// The image in explanation.safetensors.
struct ExplainedImage {
  at::Tensor image;

  static const TensorTable<ExplainedImage>& tensors();
};

/// The eigenvector of one term there.
struct ExplanationVector {
  at::Tensor vector;

  /// Its name there. @param term number among the terms of that class
  static std::string name(int64_t class_number, int64_t term);
  static const TensorTable<ExplanationVector>& tensors();
};

}  // namespace bilens
