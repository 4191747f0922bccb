#include "sources.h"

#include <algorithm>
#include <optional>
#include <set>

#include "bilens/core/files.h"
#include "bilens/io/hub_cache.h"
#include "bilens/io/weights.h"
#include "bilens/records/config_files.h"
#include "bilens/records/decomposition.h"

namespace bilens::report {

namespace fs = std::filesystem;

namespace {

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

bool is_decomposition(const fs::path& directory) { return is_file(directory / kDecompositionFile); }

bool is_model(const fs::path& directory) {
  if (!is_file(directory / "config.json")) return false;
  std::vector<Problem> foreign;  // of a config.json that is no model's
  const auto settings =
      ModelSettings::record().read(read_json(directory / "config.json", ExitCode::kBadInput), "", foreign);
  return settings.model_type.has_value();
}

bool is_run(const fs::path& directory) {
  return is_file(directory / "metrics.jsonl") ||
         (is_file(directory / "env.json") && is_file(directory / "config.json"));
}

/// "runs/demo" and "runs/demo/" are the same folder; "." gets a name.
fs::path tidy(const fs::path& directory) {
  std::error_code error;
  const fs::path absolute = fs::absolute(directory, error).lexically_normal();
  return absolute.filename().empty() ? absolute.parent_path() : absolute;
}

/// The last part of the path that is not one of the names which every run has inside.
std::string name_of(const fs::path& directory) {
  fs::path path = tidy(directory);
  if (const auto cached = cached_model_name(path); !cached.empty()) return cached;
  while (path.filename() == "decomposition" || path.filename() == "model") path = path.parent_path();
  return path.filename().empty() ? directory.string() : path.filename().string();
}

/// The model that a decomposition outside its model's directory was made from, where it is still the same
/// one.
fs::path recorded_model(const fs::path& decomposition) {
  const auto info = read_record_file<DecompositionRecord>(decomposition / kDecompositionFile);
  const fs::path model = info.model;
  std::error_code error;
  if (!fs::is_directory(model, error) || !is_model(model) || !has_weights(model)) return {};
  return info.model_sha256 == Weights(model).sha256() ? model : fs::path();
}

fs::path run_of(const fs::path& model) {
  const fs::path parent = tidy(model).parent_path();
  return tidy(model).filename() == "model" && is_run(parent) ? model.lexically_normal().parent_path()
                                                             : fs::path();
}

fs::path decomposition_of(const fs::path& directory) {
  return is_decomposition(directory / "decomposition") ? directory / "decomposition" : fs::path();
}

/// Inside of its directory, or of a snapshot in the hub's cache where `bilens decompose` puts it.
fs::path decomposition_of_model(const fs::path& model) {
  const auto beside = decomposition_of(folder_for_results(model));
  if (beside.empty() || cached_model_name(model).empty()) return beside;
  const fs::path from = read_record_file<DecompositionRecord>(beside / kDecompositionFile).model;
  std::error_code error;
  return fs::equivalent(from, model, error) ? beside : fs::path();
}

Source decomposition_source(const fs::path& directory) {
  const fs::path parent = tidy(directory).parent_path();
  const fs::path model = is_model(parent) ? parent : recorded_model(directory);
  return {name_of(directory), model.empty() ? fs::path() : run_of(model), model, directory};
}

Source run_source(const fs::path& directory) {
  const fs::path model = is_model(directory / "model") ? directory / "model" : fs::path();
  const fs::path inside = decomposition_of(model);
  return {name_of(directory), directory, model, inside.empty() ? decomposition_of(directory) : inside};
}

std::optional<Source> recognise(const fs::path& directory) {
  if (is_decomposition(directory)) return decomposition_source(directory);
  if (is_model(directory))
    return Source{name_of(directory), run_of(directory), directory, decomposition_of_model(directory)};
  if (is_run(directory) || is_model(directory / "model")) return run_source(directory);
  return std::nullopt;
}

std::vector<Source> inside(const fs::path& folder) {
  std::vector<fs::path> children;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const bool hidden = entry.path().filename().string().rfind('.', 0) == 0;
    if (entry.is_directory() && !hidden) children.push_back(entry.path());
  }
  sort_by_number(children);
  std::vector<Source> sources;
  for (const auto& child : children) {
    if (auto source = recognise(child)) sources.push_back(std::move(*source));
  }
  return sources;
}

std::vector<Source> sources_of(const fs::path& directory) {
  const std::string expected = "a run, model or decomposition directory, or a folder of them";
  std::error_code error;
  if (!fs::is_directory(directory, error)) {
    throw Error(ExitCode::kBadInput,
                {directory.string(), expected, fs::exists(directory, error) ? "a file" : "nothing there",
                 "Check the path."});
  }
  if (auto source = recognise(is_hub_cache(directory) ? cached_snapshot(directory) : directory))
    return {std::move(*source)};
  auto sources = inside(directory);
  if (sources.empty() && is_file(directory / "explanation.json")) {
    throw Error(ExitCode::kBadInput,
                {directory.string(), expected, "an explanation",
                 is_file(directory / "explanation.html")
                     ? "Its page, explanation.html, was written by `bilens explain --out`."
                     : "Its page is missing: write it again with `bilens explain --out`."});
  }
  if (sources.empty()) {
    throw Error(ExitCode::kBadInput,
                {directory.string(), expected, "none of metrics.jsonl, config.json, decomposition.json",
                 "Name the --out of `bilens train` or `bilens decompose`."});
  }
  return sources;
}

/// A run and its decomposition, both named, are one model.
std::string identity(const Source& source) {
  const auto& most_specific = !source.decomposition.empty() ? source.decomposition
                              : !source.model.empty()       ? source.model
                                                            : source.run;
  return fs::weakly_canonical(most_specific).string();
}

}  // namespace

std::vector<Source> find_sources(const std::vector<fs::path>& directories) {
  std::vector<Source> sources;
  std::set<std::string> seen;
  for (const auto& directory : directories) {
    for (auto& source : sources_of(directory)) {
      if (seen.insert(identity(source)).second) sources.push_back(std::move(source));
    }
  }
  return sources;
}

std::string weights_of(const Source& source) {
  if (!source.decomposition.empty())
    return read_record_file<DecompositionRecord>(source.decomposition / kDecompositionFile).model_sha256;
  return !source.model.empty() && has_weights(source.model) ? Weights(source.model).sha256() : "";
}

}  // namespace bilens::report
