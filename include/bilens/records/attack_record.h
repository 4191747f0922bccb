#pragma once

#include "bilens/records/image_record.h"

namespace bilens {

/// Which images the numbers of a test are of, and how many of them.
struct PerturbationSummary {
  int64_t images = 0;                         // that the model gets right
  int64_t exact = 0;                          // whose two bounds differ by at most 1e-6 of the upper one
  int64_t unreached = 0;                      // for which no change of the class was found
  double median_lower = 0, median_upper = 0;  // NaN of the second: none was found for half of them
  double largest_gap = 0;                     // of (upper − lower)/upper, where both are finite

  static const RecordTable<PerturbationSummary>& record();
};

/// The gradient attack beside the proved bounds.
struct AttackSummary {
  int64_t steps = 0;
  int64_t found = 0;        // images whose class it changed
  int64_t below_bound = 0;  // changes shorter than the proved bound: 0, or something is wrong
  double median_ratio = 0;  // of its change's length to the smallest one's

  static const RecordTable<AttackSummary>& record();
};

/// The share of all images that keep their right class under every change up to a length, between two bounds.
struct RobustAccuracy {
  std::vector<double> length;  // ‖δ‖ in pixel/255
  std::vector<double> lower, upper;

  static const RecordTable<RobustAccuracy>& record();
};

/// Duals of the classes' top eigenvectors, or Gaussian; each also kept to the pixels at the edge, which are
/// dark in the training images.
enum class MaskKind { kEigenvector, kRandom, kEdge, kRandomEdge };
std::vector<std::pair<std::string, MaskKind>> record_names(MaskKind);

/// What one kind of mask does at one strength, of all masks together.
struct MaskEffect {
  MaskKind kind = MaskKind::kEigenvector;
  double strength = 0;       // root mean square over the pixels, in pixel/255
  double accuracy = 0;       // on images of classes other than the mask's
  double misclassified = 0;  // share of these that get the mask's class

  static const RecordTable<MaskEffect>& record();
};

/// attack.json and attack.safetensors: how far images are from another class, and what masks do. Lengths are
/// Euclidean, in pixel/255.
struct AttackRecord {
  static constexpr RecordFormat kFormat = {"bilens-attack", 1};
  static constexpr const char* kFile = "attack.json";
  static constexpr const char* kTensorFile = "attack.safetensors";

  std::string model, model_sha256, version;
  StudiedImages data;
  ImageEvaluation evaluation;
  PerturbationSummary smallest;
  double beyond_range = 0;  // median share of a smallest change's squared length that is beyond [0, 1]
  RobustAccuracy curve;
  std::optional<AttackSummary> gradient;
  std::optional<PerturbationSummary> bounded;
  std::optional<RobustAccuracy> bounded_curve;
  std::vector<MaskEffect> masks;

  at::Tensor labels, prediction, other;     // int64 [N]
  at::Tensor lower, upper;                  // float64 [N]
  at::Tensor gradient_length;               // float64 [N], or undefined
  at::Tensor bounded_lower, bounded_upper;  // float64 [M] of the first M images, or undefined
  at::Tensor images, changes, shown;  // uint8 and float32 [s, height, width], int64 [s]: the images shown
  at::Tensor mask_pictures;           // float32 [classes, height, width] of unit norm, or undefined

  static const RecordTable<AttackRecord>& record();
  static const TensorTable<AttackRecord>& tensors();
};

/// Writes attack.json and attack.safetensors into a directory. @throws Error(kFailure or kExhausted)
void write_attack(const std::filesystem::path& directory, const AttackRecord& attack);
/// Reads both files. @throws Error(kBadInput) when one is damaged
AttackRecord read_attack(const std::filesystem::path& directory);

}  // namespace bilens
