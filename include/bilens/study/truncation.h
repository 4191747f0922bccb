#pragma once

#include <optional>
#include <vector>

#include "bilens/records/image_record.h"
#include "bilens/study/layer_on_images.h"

namespace bilens {

/// How good the classifier is when its last layer keeps only the top k eigenvectors a class.
struct TruncationCurve {
  int64_t layer = 0;
  std::vector<int64_t> k;
  std::vector<double> accuracy, loss;
};

/// Logits Σ_{i≤k} λ_i (v_i·x)² + l·x + c for k = 0, 1, 2, … (every k up to 64, then in steps of an eighth).
/// @param labels int64 [N]
TruncationCurve truncate(const LayerDecomposition& layer, const LayerOnImages& data,
                         const at::Tensor& labels);

constexpr double kMostLost = 0.01;  // of the accuracy

/// The place in `curve` of the smallest k whose accuracy is within kMostLost of the whole model's on the same
/// images; none where no k is.
std::optional<size_t> sufficient(const TruncationCurve& curve, double accuracy);

/// Rebuilds the values from all stored eigenpairs and compares them with the model's own.
Exactness measure_exactness(const LayerDecomposition& layer, const LayerOnImages& data);

}  // namespace bilens
