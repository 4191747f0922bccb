#include "bilens/io/sharded_safetensors.h"

#include <map>

#include "bilens/core/files.h"
#include "bilens/core/text.h"

namespace bilens {

namespace {

const Json kMetadata = {{"format", "pt"}};

int64_t stored_bytes(const at::Tensor& tensor, std::optional<at::ScalarType> dtype) {
  return tensor.numel() * static_cast<int64_t>(c10::elementSize(dtype.value_or(tensor.scalar_type())));
}

std::vector<NamedTensors> split(const NamedTensors& tensors, std::optional<at::ScalarType> dtype,
                                int64_t max_bytes) {
  std::vector<NamedTensors> shards;
  NamedTensors current;
  int64_t bytes = 0;
  for (const auto& item : tensors) {
    const int64_t size = stored_bytes(item.second, dtype);
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
                               std::optional<at::ScalarType> dtype, int64_t max_shard_bytes) {
  const auto shards = split(tensors, dtype, max_shard_bytes);
  if (shards.size() == 1)
    return write_safetensors(directory / "model.safetensors", shards[0], kMetadata, dtype);
  std::map<std::string, std::string> shard_of;
  int64_t bytes = 0, parameters = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = format("model-%05zu-of-%05zu.safetensors", i + 1, shards.size());
    write_safetensors(directory / name, shards[i], kMetadata, dtype);
    for (const auto& [tensor, value] : shards[i]) {
      shard_of[tensor] = name;
      bytes += stored_bytes(value, dtype);
      parameters += value.numel();
    }
  }
  const Json index = {{"metadata", {{"total_parameters", parameters}, {"total_size", bytes}}},
                      {"weight_map", shard_of}};
  write_text(directory / "model.safetensors.index.json", format_json(index));
}

}  // namespace bilens
