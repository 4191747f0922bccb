#pragma once

#include <filesystem>
#include <string>

namespace bilens {

/// Whether a folder is a model in the cache that Hugging Face's programs keep: refs, blobs and snapshots.
bool is_hub_cache(const std::filesystem::path& folder);

/// The snapshot of such a folder that refs/main names; without refs/main its only one.
/// @throws Error(kBadInput): none is there, that one is not, or there are several and nothing names one
std::filesystem::path cached_snapshot(const std::filesystem::path& folder);

/// Where the cache has a model by its name on the hub, "owner/name"; "" where it has none, or the name is
/// none. The cache is HF_HUB_CACHE, else "hub" in HF_HOME, in XDG_CACHE_HOME/huggingface or in
/// ~/.cache/huggingface.
std::filesystem::path find_in_hub_cache(const std::string& name);

}  // namespace bilens
