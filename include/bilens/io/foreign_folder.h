#pragma once

#include <filesystem>
#include <optional>

#include "bilens/core/error.h"

namespace bilens {

/// What a folder without weights in Hugging Face's layout is, and what to do with it, where its files tell:
/// Meta's layout or LitGPT's without its config, a folder of a training script, of llama.cpp, of a hub's
/// cache, an adapter without its base, weights of TensorFlow, Flax or ONNX. Nothing for any other folder.
/// @throws Error(kBadInput) for a cache that does not say which snapshot is meant
std::optional<Problem> describe_foreign_folder(const std::filesystem::path& path);

}  // namespace bilens
