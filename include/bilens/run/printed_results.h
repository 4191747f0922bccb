#pragma once

#include <vector>

#include "bilens/records/catalog.h"

namespace bilens {

/// What the documents say of objects that commands print with --json and that no file holds.
std::vector<RecordFile> printed_results();

}  // namespace bilens
