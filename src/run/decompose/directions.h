#pragma once

#include "bilens/records/layer_decomposition.h"
#include "layers/layer_source.h"

namespace bilens {

struct DecomposeRunConfig;

/// Output directions of one layer.
struct Directions {
  at::Tensor u;  // [n, d_out] float64, of numbers that the run's dtype holds; undefined: the identity
  DirectionKind kind = DirectionKind::kOutputs;
  OutputIs output_is = OutputIs::kHidden;
  bool centred = false;
  std::vector<std::string> names;    // of tokens, or none
  std::optional<double> mean_share;  // n‖Q̄‖² / Σ‖Q_u‖² of these n before centring, Q̄ their mean
};

/// The head's rows, centred when asked for, where the layer reaches it linearly; else every output axis; or
/// what the config's `directions` name, tokens by the model's vocabulary. "eigenvectors" is resolved by the
/// caller, who has the other layer. Directions are rounded to the run's dtype, as the file stores them.
/// @throws Error(kUsage, kBadInput), also for directions that the dtype does not hold to its precision
Directions choose_directions(const DecomposeRunConfig& config, const LayerSource& model,
                             const SourceLayer& source);

}  // namespace bilens
