#pragma once

#include <optional>
#include <string>

#include "bilens/model/stored_model.h"
#include "bilens/records/conversion.h"

namespace bilens {

/// Reads how a model was converted; nothing where no file says that it was.
/// @throws Error(kBadInput) for a file that is damaged or of another format
std::optional<ConversionRecord> read_conversion(const StoredModel& model);

/// One line: KL to the original, top-1 agreement, R² of the residual stream behind each layer; on the test
/// part or else on the validation part.
std::string conversion_in_words(const ConversionRecord& conversion);

}  // namespace bilens
