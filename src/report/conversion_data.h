#pragma once

#include <filesystem>

#include "bilens/core/json.h"

namespace bilens::report {

class CheckedJson;

/// A model beside its teacher on a part of the data ("test", say) of an account, or null.
/// @throws Error(kBadInput) when it is damaged
Json seen_beside_teacher(const CheckedJson& account, const std::string& part);

/// What a finetune.json says of the conversion: what was seen of each part of the data, and
/// samples. @throws Error(kBadInput) when it is damaged
Json conversion_data(const std::filesystem::path& file);

}  // namespace bilens::report
