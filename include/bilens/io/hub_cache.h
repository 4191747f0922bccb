#pragma once

#include <filesystem>
#include <string>

namespace bilens {

/// Whether a folder is a model in the cache that Hugging Face's programs keep: refs, blobs and snapshots.
bool is_hub_cache(const std::filesystem::path& folder);

/// The snapshot of such a folder that refs/main names; without refs/main its only one.
/// @throws Error(kBadInput): none is there, that one is not, there are several and nothing names one, or a
/// file of it is not there
std::filesystem::path cached_snapshot(const std::filesystem::path& folder);

/// Where the cache has a model by its name on the hub, "owner/name"; "" where it has none, or the name is
/// none. The cache is HF_HUB_CACHE, else "hub" in HF_HOME, in XDG_CACHE_HOME/huggingface or in
/// ~/.cache/huggingface.
std::filesystem::path find_in_hub_cache(const std::string& name);

/// OWNER--NAME of the model in the hub's cache that a path is or lies in, also by a link to it; "" for
/// others.
std::string cached_model_name(const std::filesystem::path& path);

/// The folder for results beside a path: the path itself, but runs/OWNER--NAME in the current folder for one
/// in the hub's cache, whose files belong to other programs.
std::filesystem::path folder_for_results(const std::filesystem::path& path);

}  // namespace bilens
