#pragma once

#include "bilens/records/decomposition.h"
#include "decompose_config.h"
#include "directions.h"
#include "weighting.h"

namespace bilens {

/// What is solved for a layer: over the input where its embedding is to be folded.
EigenProblem eigen_problem(const SourceLayer& source, const Directions& directions, FormChoice form);

/// Decomposes the layers of one model as a config says; "eigenvectors" directions of one layer need another
/// one first.
class Decomposer {
 public:
  /// All must outlive it. @param weightings of all layers that are solved, where the config weights them
  /// @throws Error(kUsage) for a device that is not there
  Decomposer(const LayerSource& source, const DecomposeRunConfig& config,
             const Weightings* weightings = nullptr);

  /// What the config's method finds of one layer, in memory.
  LayerDecomposition solve(const SourceLayer& layer) const;

  /// Finds the same and writes it into a decomposition directory: eigenpairs as they are found, after what an
  /// earlier run left there; factors a layer at a time. Not for weighted layers.
  LayerDecomposition write(const SourceLayer& layer, const std::filesystem::path& directory) const;

 private:
  Directions choose(const SourceLayer& layer) const;
  LayerDecomposition describe(const SourceLayer& layer, const Directions& directions) const;
  void weigh(const EigenProblem& problem, LayerDecomposition& layer) const;
  void find_factors(const EigenProblem& problem, LayerDecomposition& layer) const;
  std::string identify(const SourceLayer& layer, const Directions& directions) const;
  at::Tensor from_layer_above(const SourceLayer& below) const;

  const LayerSource& source_;
  const DecomposeRunConfig& config_;
  const Weightings* weightings_;
  at::Device device_;
};

}  // namespace bilens
