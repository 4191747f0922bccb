#pragma once

#include <filesystem>

namespace bilens {

/// Reads explanation.json and explanation.safetensors of `directory` (docs/formats.md) and writes
/// explanation.html beside them: one self-contained page with the image, its logits, and each class's logit
/// as a sum over eigenvectors. Above 20 MB it is written with the pictures of fewer eigenvectors.
/// @return the page
/// @throws Error(kBadInput) for missing and damaged files; Error(kFailure, kExhausted) when the page cannot
///   be written.
std::filesystem::path write_explanation_page(const std::filesystem::path& directory);

}  // namespace bilens
