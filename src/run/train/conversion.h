#pragma once

#include <filesystem>
#include <string>

#include "bilens/core/json.h"
#include "bilens/model/stored_model.h"

namespace bilens {

/// Beside a converted model's weights, so that wherever they go it is known that they are not the original's:
/// the part of a finetune.json that says whose conversion it is and how far from it.
inline constexpr const char* kConversionFile = "conversion.json";

/// @param account of `bilens finetune`, of a model that was converted
Json conversion_of(const Json& account);

/// Of a model; null where nothing says that it was converted.
/// @throws Error(kBadInput) for a file of another format
Json read_conversion(const StoredModel& model);

/// One line: KL to the original, top-1 agreement, R² of the residual stream behind each layer; on the test
/// part or else on the validation part.
std::string conversion_in_words(const Json& conversion);

}  // namespace bilens
