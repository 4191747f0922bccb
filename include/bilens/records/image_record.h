#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bilens/records/record_file.h"
#include "bilens/records/tensor_table.h"

namespace bilens {

/// A classifier on a part of the images.
struct ImageEvaluation {
  int64_t examples = 0;
  double loss = 0.0;      // mean cross-entropy, nats an image
  double accuracy = 0.0;  // share of images whose largest logit is the label's

  static const RecordTable<ImageEvaluation>& record();
};

/// Which images a study is of.
struct StudiedImages {
  std::string dataset, split;
  int64_t examples = 0;

  static const RecordTable<StudiedImages>& record();
};

/// How good the classifier is when a layer keeps only the first k eigenpairs of each class.
struct TruncationRecord {
  /// Accuracy and loss for each k on the images that k is chosen on.
  struct Validation {
    std::vector<double> accuracy, loss;
    static const RecordTable<Validation>& record();
  };
  /// The smallest k that suffices, and the images that it was chosen on.
  struct Chosen {
    int64_t k = 0;
    std::string split;
    static const RecordTable<Chosen>& record();
  };

  int64_t layer = 0;
  std::vector<int64_t> k;
  std::vector<double> accuracy, loss;
  std::optional<Validation> validation;
  std::optional<Chosen> chosen;

  static const RecordTable<TruncationRecord>& record();
};

/// How far the values rebuilt from all stored eigenpairs are from the model's own.
struct Exactness {
  int64_t layer = 0;
  double relative_error = 0;  // ‖T̂ − T‖_F / ‖T‖_F
  double max_error = 0;       // largest |T̂ − T|

  static const RecordTable<Exactness>& record();
};

/// What each eigenvector of a layer does on images; n directions, k eigenpairs, float64.
struct Importance {
  int64_t layer = 0;
  at::Tensor mean_contribution, std_contribution;  // [n, k], of λp²
  /// [n, k]: 1 − Σ(t − t̂_k)² / Σ(t − t̄)² with the first k eigenpairs and the linear part, nothing refitted;
  /// NaN where t is constant up to rounding.
  at::Tensor data_r2;
  at::Tensor linear_share;  // [n]: variance of l·x over that of t; NaN likewise
  /// The images with the largest and the most negative projection p = v·x, [n, min(k, 24), e]: rows of
  /// ImageStudy::images, int32.
  at::Tensor positive_examples, negative_examples;
  at::Tensor positive_projections, negative_projections;

  static const RecordTable<Importance>& record();
  static const TensorTable<Importance>& tensors();
};

/// What is left of a layer, on real images, when joint or CP factors stand in its place; nothing is refitted.
struct Reconstruction {
  int64_t layer = 0;
  at::Tensor data_r2;         // [n] float64: 1 − Σ(t − t̂)² / Σ(t − t̄)²; NaN for a constant t
  double relative_error = 0;  // ‖T̂ − T‖_F / ‖T‖_F
  std::optional<double> accuracy, loss;  // of the classifier, where the layer's outputs are the logits

  static const RecordTable<Reconstruction>& record();
};

/// A model together with its decomposition on real images: study.json and study.safetensors.
struct ImageStudy {
  static constexpr RecordFormat kFormat = {"bilens-image-study", 1};

  std::optional<StudiedImages> data;
  std::optional<ImageEvaluation> evaluation;  // on the test images, as all that follows
  std::optional<ImageEvaluation> validation;  // on those that k is chosen on
  std::vector<TruncationRecord> truncation;   // of the layer whose outputs are the logits
  std::vector<Exactness> exactness;
  std::vector<Importance> importance;
  std::vector<Reconstruction> reconstruction;  // of layers with joint or CP factors
  at::Tensor images,
      labels;  // uint8 [m, height, width], int64 [m]: those that an example names; or undefined

  static const RecordTable<ImageStudy>& record();
  /// All but those of its layers.
  static const TensorTable<ImageStudy>& tensors();
};

/// Writes study.json and study.safetensors.
void write_image_study(const std::filesystem::path& directory, const ImageStudy& study);

/// Nothing where there is no such study, or one of tokens. @throws Error(kBadInput) when it is damaged
std::optional<ImageStudy> read_image_study(const std::filesystem::path& directory);

}  // namespace bilens
