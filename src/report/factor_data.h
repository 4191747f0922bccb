#pragma once

#include "bilens/core/json.h"
#include "bilens/io/safetensors.h"
#include "checked_json.h"
#include "detail.h"

namespace bilens::report {

/// The factors of a layer that was decomposed by another method than "eigen", as one list of cards whatever
/// the method: {"words", "groups": [{"title", "items": [{"title", "pictures": [{"label", "values", "scale"}],
/// "weights": [n] | null, "facts": [[name, number]]}], "left_out"}]}; null for eigenvectors alone.
/// @throws Error(kBadInput) for tensors that do not fit the entry
Json factor_data(const CheckedJson& entry, const SafetensorsFile& file, const Detail& detail);

}  // namespace bilens::report
