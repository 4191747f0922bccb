#pragma once

#include <filesystem>

#include "bilens/core/json.h"
#include "detail.h"
#include "image_pool.h"
#include "study_data.h"

namespace bilens::report {

/// decomposition.json and its tensors for the page: the settings, and of each layer its facts and "shown":
/// the first `detail.directions` directions, each with its whole spectrum and the `detail.vectors` leading
/// eigenvectors of each sign.
/// @param study null when there is none
/// @throws Error(kBadInput) when a file is missing, damaged or of an unknown version.
Json decomposition_data(const std::filesystem::path& directory, const Study* study, const Detail& detail,
                        ImagePool& images);

}  // namespace bilens::report
