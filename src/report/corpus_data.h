#pragma once

#include <filesystem>

#include "bilens/core/json.h"

namespace bilens::report {

/// What the eigenpairs of a decomposition contribute on text, by corpus.json and corpus.safetensors, means
/// over directions: {"path", "tokens", "layers": [{"layer", "directions", "quadratic", "linear", "constant"
/// (shares), "form_r2", "r2": [k + 1], "correlation": [k + 1]}]}; null where there is none.
/// @throws Error(kBadInput) when it is damaged
Json corpus_data(const std::filesystem::path& decomposition);

}  // namespace bilens::report
