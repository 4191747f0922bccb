#pragma once

#include <filesystem>

#include "bilens/records/conversion.h"

namespace bilens::report {

/// A model beside its teacher on a part of the data; null where there is no such part.
Json seen_beside_teacher(const std::optional<SeenBesideTeacher>& seen);

/// What a finetune.json says of the conversion: what was seen of each part of the data, and
/// samples. @throws Error(kBadInput) when it is damaged
Json conversion_data(const std::filesystem::path& file);

}  // namespace bilens::report
