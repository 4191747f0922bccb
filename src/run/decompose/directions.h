#pragma once

#include "layers/layer_source.h"

namespace bilens {

/// Schemas of whole numbers from 0 and from 1 on.
inline const Json kNatural = {{"type", "integer"}, {"minimum", 0}};
inline const Json kPositive = {{"type", "integer"}, {"minimum", 1}};

struct DecomposeRunConfig;

/// Output directions of one layer.
struct Directions {
  at::Tensor u;  // [n, d_out] float64, of numbers that the run's dtype holds; undefined: the identity
  std::string kind, output_is = "hidden", center = "none";
  std::vector<std::string> names;    // of tokens, or none
  std::optional<double> mean_share;  // n‖Q̄‖² / Σ‖Q_u‖² of these n before centring, Q̄ their mean
};

/// Of a config's key "directions".
Json directions_schema();
/// Its value with a string, which stands for its kind, as an object.
Json with_kind(const Json& directions);
/// Adds what is wrong with its value: a kind that does not exist, keys that the kind does not have or lacks.
void check_directions(const Json& directions, std::vector<Problem>& problems);

/// The head's rows, centred when asked for, where the layer reaches it linearly; else every output axis; or
/// what the config's `directions` name, tokens by the model's vocabulary. "eigenvectors" is resolved by the
/// caller, who has the other layer. Directions are rounded to the run's dtype, as the file stores them.
/// @throws Error(kUsage, kBadInput), also for directions that the dtype does not hold to its precision
Directions choose_directions(const DecomposeRunConfig& config, const LayerSource& model,
                             const SourceLayer& source);

}  // namespace bilens
