#pragma once

#include <filesystem>

#include "bilens/run/outcome.h"

namespace bilens {

/// Names, shapes, dtypes, parameter counts and architecture of a model or a weight file, from headers alone.
Outcome run_inspection(const std::filesystem::path& path);

}  // namespace bilens
