#pragma once

#include "bilens/core/json.h"
#include "bilens/records/layer_decomposition.h"
#include "detail.h"

namespace bilens::report {

/// The factors of a layer that was decomposed by another method than "eigen", as one list of cards whatever
/// the method: {"words", "meaning", "by_direction", "groups": [{"title", "items": [{"title", "pictures":
/// [{"label", "values", "scale"}], "weights": [n] | null, "facts": [[name, number]]}], "left_out"}]}.
Json factor_data(const LayerDecomposition& layer, const Detail& detail);

}  // namespace bilens::report
