#pragma once

#include <optional>
#include <vector>

#include "bilens/model/architecture.h"
#include "bilens/records/decomposition.h"
#include "stored_layer.h"
#include "weight_map.h"

namespace bilens {

/// What folds into the MLPs of a model, and what is known of their input.
struct NormChoice {
  std::vector<StoredLayer> layers;
  bool folded = false;
  bool raw_stream = false;           // the input's length varies from token to token
  std::optional<NormRecord> record;  // nothing where no norm is known
};

/// By `weights.norm`, else by the model's architecture; without `fold` nothing is folded.
/// Weights that lack a norm in every layer are read without it, with a warning.
/// @throws Error(kBadInput): a norm beside an MLP of an architecture that is not known, a norm that the
/// architecture does not have, one that is missing in some layers; Error(kUsage): `weights.norm` without
/// `fold`
NormChoice choose_norms(const Weights& weights, const Architecture& architecture,
                        const std::vector<MlpNames>& mlps, const WeightMap& map, bool fold);

/// Widths and number of the MLPs as the config has them: less is a part of a model.
/// @throws Error(kBadInput)
void require_sizes(const StoredModel& model, const Architecture& architecture,
                   const std::vector<MlpNames>& mlps);

}  // namespace bilens
