#pragma once

#include <filesystem>

namespace bilens {

/// Writes explanation.html, one self-contained page, beside the explanation.json and explanation.safetensors
/// of a prompt (docs/formats.md), from these two files alone.
/// @return the page
/// @throws Error(kBadInput): files that are missing, damaged or do not fit each other
std::filesystem::path write_prompt_page(const std::filesystem::path& directory);

}  // namespace bilens
