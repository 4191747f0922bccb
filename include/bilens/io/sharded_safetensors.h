#pragma once

#include <cstdint>
#include <filesystem>

#include "bilens/io/safetensors.h"

namespace bilens {

constexpr int64_t kMaxShardBytes = 5'000'000'000;  // the published writer's, for long

/// Fills a directory with the tensors as the published writer (transformers) does: in their order, a new
/// shard where the next tensor would exceed `max_shard_bytes` (a larger one has a shard of its own). One
/// shard is model.safetensors; more are model-0000I-of-0000N.safetensors with model.safetensors.index.json,
/// which is written last. `dtype` as in write_safetensors.
void write_sharded_safetensors(const std::filesystem::path& directory, const NamedTensors& tensors,
                               std::optional<at::ScalarType> dtype = {},
                               int64_t max_shard_bytes = kMaxShardBytes);

}  // namespace bilens
