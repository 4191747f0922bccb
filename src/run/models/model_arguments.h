#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace bilens {

/// Whether the folder holds a model: a config.json with a model_type, or weights in the Hugging Face layout.
bool is_model_directory(const std::filesystem::path& path);

/// The models that the arguments stand for, in order: a model directory, a weight file, a run directory (its
/// model/), a model in the hub's cache (its snapshot), a folder of any of these, or a glob over them.
/// Decompositions are none.
/// @throws Error(kBadInput) for an argument that stands for none
std::vector<std::filesystem::path> expand_models(const std::vector<std::string>& arguments);

/// The one model that an argument stands for, likewise. @throws Error(kBadInput) for none and for several
std::filesystem::path find_model(const std::string& argument);

/// What to do about an argument where nothing is: it may be the name of a model on the hub, which its cache
/// may have.
std::string way_to_model(const std::string& argument);

/// A directory name for each model, unique among them: its path below the common parent, / as __.
std::vector<std::string> batch_names(const std::vector<std::filesystem::path>& models);

}  // namespace bilens
