#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "bilens/analysis/forms/bilinear_layer.h"
#include "bilens/model/stored_model.h"
#include "bilens/records/decomposition.h"

namespace bilens {

/// The matrices of a model's gated MLPs, with the norms around them folded in as `bilens decompose` does.
struct FoldedLayers {
  std::vector<std::pair<int64_t, BilinearLayer>> layers;  // by their numbers; of gated ones f is left out
  std::optional<NormRecord> norm;                         // nothing where none is known
};

/// @param config of `bilens decompose`, which may say gate and weights
/// @throws Error(kUsage, kBadInput) as that does
FoldedLayers folded_layers(const StoredModel& model, const Json& config);

}  // namespace bilens
