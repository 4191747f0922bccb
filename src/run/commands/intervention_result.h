#pragma once

#include <string>

#include "bilens/core/json.h"
#include "bilens/study/intervention.h"

namespace bilens {

/// What `bilens intervene` found (docs/formats.md). @param config resolved
/// @param follows_logits whether a difference of logits was followed; else its figures are null
Json to_json(const InterventionStudy& study, const InterventionConfig& config, bool follows_logits);

/// The result as tables: what the changes do; the eigenvectors less their controls, with p; how small p can
/// be. @param result that of to_json, with "layer", "direction", "eigenvectors", "intervention", "data" and
/// "surrogate"
std::string intervention_in_words(const Json& result);

}  // namespace bilens
