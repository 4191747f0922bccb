#pragma once

#include "bilens/core/json.h"
#include "sources.h"

namespace bilens::report {

/// What the check.json says that lies in one of the source's folders and is of the same weights; else null.
/// @throws Error(kBadInput) when it is damaged
Json check_data(const Source& source);

}  // namespace bilens::report
