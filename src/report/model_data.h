#pragma once

#include "bilens/core/json.h"
#include "detail.h"
#include "image_pool.h"
#include "sources.h"

namespace bilens::report {

/// All that the page says of one model: {"name", "directory", "run": {"config", "environment"}, "metrics",
/// "model": its config.json, "parameters", "decomposition", "study"}; null for what there is not.
/// @throws Error(kBadInput) for damaged files and unknown format versions.
Json model_data(const Source& source, const Detail& detail, ImagePool& images);

}  // namespace bilens::report
