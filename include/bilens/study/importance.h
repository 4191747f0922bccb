#pragma once

#include "bilens/study/layer_on_images.h"

namespace bilens {

/// What each eigenvector of a layer does on a corpus; float64.
struct Importance {
  int64_t layer = 0;
  at::Tensor mean_contribution, std_contribution;  // [n, k], of λp²
  /// [n, k]: 1 − Σ(t − t̂_k)² / Σ(t − t̄)² with the first k eigenpairs and the linear part, nothing refitted;
  /// NaN where t is constant up to rounding.
  at::Tensor data_r2;
  at::Tensor linear_share;  // [n]: variance of l·x over that of t; NaN likewise
  /// The images with the largest and the most negative projection p = v·x: rows of the split, int64 [n,
  /// min(k, 24), e].
  at::Tensor positive_examples, negative_examples;
  at::Tensor positive_projections, negative_projections;
};

/// @param examples how many images are named for each side of an eigenvector
Importance measure_importance(const LayerDecomposition& layer, const LayerOnImages& data, int64_t examples);

}  // namespace bilens
