#include "bilens/io/sharded_safetensors.h"

#include <map>

#include "bilens/core/files.h"
#include "bilens/core/text.h"

namespace bilens {

namespace {

const Json kMetadata = {{"format", "pt"}};

std::vector<NamedTensors> split(const NamedTensors& tensors, int64_t max_bytes) {
  std::vector<NamedTensors> shards;
  NamedTensors current;
  int64_t bytes = 0;
  for (const auto& item : tensors) {
    const auto size = static_cast<int64_t>(item.second.nbytes());
    if (size > max_bytes) {
      shards.push_back({item});
      continue;
    }
    if (bytes + size > max_bytes) {
      shards.push_back(std::exchange(current, {}));
      bytes = 0;
    }
    current.push_back(item);
    bytes += size;
  }
  if (!current.empty() || shards.empty()) shards.push_back(current);
  return shards;
}

}  // namespace

void write_sharded_safetensors(const std::filesystem::path& directory, const NamedTensors& tensors,
                               int64_t max_shard_bytes) {
  const auto shards = split(tensors, max_shard_bytes);
  if (shards.size() == 1) return write_safetensors(directory / "model.safetensors", shards[0], kMetadata);
  std::map<std::string, std::string> shard_of;
  int64_t bytes = 0, parameters = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = format("model-%05zu-of-%05zu.safetensors", i + 1, shards.size());
    write_safetensors(directory / name, shards[i], kMetadata);
    for (const auto& [tensor, value] : shards[i]) {
      shard_of[tensor] = name;
      bytes += static_cast<int64_t>(value.nbytes());
      parameters += value.numel();
    }
  }
  const Json index = {{"metadata", {{"total_parameters", parameters}, {"total_size", bytes}}},
                      {"weight_map", shard_of}};
  write_text(directory / "model.safetensors.index.json", format_json(index));
}

}  // namespace bilens
