#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bilens/core/error.h"
#include "bilens/core/json.h"
#include "bilens/nn/gate.h"

namespace bilens {

/// Names of hidden_act in config.json.
const std::vector<std::pair<std::string, Gate>>& hidden_act_names();

/// Stands under hidden_act where layers differ, as in a model of which some layers were made bilinear. It is
/// no activation of transformers, which therefore refuses the model, in place of computing another one.
constexpr const char* kActByLayer = "by_layer";

/// The key of the layers' own activations, a list with one name a layer.
constexpr const char* kLayerActs = "hidden_acts";

/// The gates of a config whose layers differ, one a layer; nothing where they do not. All layers but the
/// bilinear ones have the same gate.
/// Names mean what they mean in transformers' table of activations, in all families.
/// @param act_key the family's key of the activation
/// @param layers as many as there are; nothing: not known
std::optional<std::vector<Gate>> read_layer_acts(const Json& config, const std::string& act_key,
                                                 std::optional<int64_t> layers, const std::string& where,
                                                 std::vector<Problem>& problems);

/// The list under kLayerActs.
Json layer_acts_json(const std::vector<Gate>& gates);

}  // namespace bilens
