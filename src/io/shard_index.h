#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace bilens {

/// The shard that each tensor is in, by an index (model.safetensors.index.json,
/// pytorch_model.bin.index.json).
/// @throws Error(kBadInput): another form; a name that is more than a file name, as an index must not reach
/// outside its folder.
std::map<std::string, std::string> read_shard_index(const std::filesystem::path& index_file);

}  // namespace bilens
