#pragma once

#include "bilens/analysis/decomposition.h"
#include "bilens/run/decompose_config.h"

namespace bilens {

/// Solves the layers of one model as a config says; "eigenvectors" directions of one layer need another one
/// first.
class Decomposer {
 public:
  /// Both must outlive it. @throws Error(kUsage) for a device that is not there
  Decomposer(const LayerSource& source, const DecomposeRunConfig& config);

  /// Directions, eigenpairs and linear parts of one layer.
  LayerDecomposition solve(const SourceLayer& layer) const;

 private:
  LayerDecomposition solve(const SourceLayer& layer, const Directions& directions) const;
  at::Tensor from_layer_above(const SourceLayer& below) const;

  const LayerSource& source_;
  const DecomposeRunConfig& config_;
  at::Device device_;
};

}  // namespace bilens
