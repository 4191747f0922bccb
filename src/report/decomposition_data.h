#pragma once

#include <filesystem>

#include "bilens/core/json.h"
#include "bilens/records/image_record.h"
#include "detail.h"
#include "image_pool.h"

namespace bilens::report {

/// decomposition.json and its tensors for the page: the settings, and of each layer its facts and "shown":
/// the first `detail.directions` directions, each with its whole spectrum and the `detail.vectors` leading
/// eigenvectors of each sign.
/// @param study on images; null when there is none
/// @throws Error(kBadInput) when a file is missing, damaged or of an unknown version.
Json decomposition_data(const std::filesystem::path& directory, const ImageStudy* study, const Detail& detail,
                        ImagePool& images);

}  // namespace bilens::report
