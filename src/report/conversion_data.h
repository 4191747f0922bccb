#pragma once

#include <filesystem>

#include "bilens/core/json.h"

namespace bilens::report {

/// What a finetune.json says of the conversion: what was seen of each part of the data, and
/// samples. @throws Error(kBadInput) when it is damaged
Json conversion_data(const std::filesystem::path& file);

}  // namespace bilens::report
