#pragma once

#include <filesystem>
#include <string>

namespace bilens {

/// @param start the first 16 bytes of a file that is none of ours
/// @throws Error(kBadInput) that names what stands where weights should be after a download went wrong: a
/// Git-LFS pointer or an HTML page.
void refuse_impostors(const std::filesystem::path& path, const std::string& start);

}  // namespace bilens
