#pragma once

#include <filesystem>

#include "mapped_file.h"

namespace bilens {

/// @param file of a format that is none of ours
/// @throws Error(kBadInput) that says what it is and what to do, where its content or extension tells: what
/// stands in the place of weights after a download went wrong (a Git-LFS pointer, an HTML page), weights of
/// other programs, archives, texts.
void refuse_impostors(const std::filesystem::path& path, const MappedFile& file);

}  // namespace bilens
