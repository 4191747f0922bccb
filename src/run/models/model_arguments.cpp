#include "model_arguments.h"

#include <glob.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "bilens/core/error.h"
#include "bilens/core/files.h"
#include "bilens/io/foreign_folder.h"
#include "bilens/io/hub_cache.h"
#include "bilens/io/weights.h"
#include "bilens/model/family.h"
#include "bilens/records/decomposition.h"
#include "bilens/records/environment.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

bool is_weight_file(const fs::path& path) {
  const auto extension = path.extension();
  return extension == ".safetensors" || extension == ".bin" || extension == ".pt" || extension == ".pth";
}

bool holds_weights(const fs::path& path) {
  return fs::is_directory(path) && (has_weights(path) || is_foreign_folder(path));
}

/// Whether a folder of the hub's cache is of something else than a model.
bool is_data_of_hub(const fs::path& path) {
  return is_hub_cache(path) && !path.filename().string().starts_with("models--") &&
         path.filename().string().find("--") != std::string::npos;
}

/// The model that a path is by itself, or that the run there has made; empty where it is none.
fs::path single_model(const fs::path& path) {
  if (fs::is_regular_file(path)) return is_weight_file(path) ? whole_model_of(path) : fs::path();
  // The snapshot, unlike the folder, stays what it is when another is downloaded.
  if (is_hub_cache(path) && !is_data_of_hub(path)) return cached_snapshot(path);
  const bool is_run = fs::exists(path / Environment::kFile);  // whose config.json is its own, not a model's
  if (is_run ? holds_weights(path) : is_model_directory(path)) return path;
  return is_model_directory(path / "model") ? path / "model" : fs::path();
}

/// The model that a path is in a folder of models. Of what is none, but looks like one, the path itself:
/// whoever reads it says what it is instead, and the others are read.
fs::path member_model(const fs::path& path) {
  try {
    const auto model = single_model(path);
    return model.empty() && describe_foreign_folder(path) && !is_data_of_hub(path) ? path : model;
  } catch (const Error&) {
    return path;
  }
}

std::vector<fs::path> models_at(const fs::path& path) {
  if (const auto model = single_model(path); !model.empty()) return {model};
  std::vector<fs::path> found;
  if (!fs::is_directory(path) || fs::exists(path / kDecompositionFile)) return found;
  for (const auto& entry : fs::directory_iterator(path)) {
    if (entry.path().filename().string().front() == '.') continue;
    // Here a .bin may be anything, a tokenizer for instance.
    if (fs::is_regular_file(entry.path()) && entry.path().extension() != ".safetensors") continue;
    if (entry.path().filename() == "adapter_model.safetensors") continue;  // no model without its base
    if (const auto model = member_model(entry.path()); !model.empty()) found.push_back(model);
  }
  if (found.empty() && describe_foreign_folder(path)) found.push_back(path);
  sort_by_number(found);
  return found;
}

std::vector<fs::path> matches(const std::string& pattern) {
  glob_t result = {};
  std::vector<fs::path> paths;
  if (glob(pattern.c_str(), 0, nullptr, &result) == 0) {
    for (size_t i = 0; i < result.gl_pathc; ++i) paths.emplace_back(result.gl_pathv[i]);
  }
  globfree(&result);
  sort_by_number(paths);
  return paths;
}

}  // namespace

bool is_model_directory(const fs::path& path) {
  if (!fs::is_directory(path)) return false;
  if (holds_weights(path)) return true;
  // A model whose weights are missing is still one, to be named as bad; a run's own config.json has no
  // model_type.
  std::ifstream config(path / "config.json");
  const std::string text{std::istreambuf_iterator<char>(config), {}};
  return text.find("\"model_type\"") != std::string::npos;
}

std::string way_to_model(const std::string& argument) {
  const auto cached = find_in_hub_cache(argument);
  if (!cached.empty()) return "The cache of the hub has it: " + cached.string();
  return "Check the path." +
         std::string(std::count(argument.begin(), argument.end(), '/') == 1
                         ? " Models of the hub are obtained by scripts/get_model.sh OWNER/NAME."
                         : "");
}

std::vector<fs::path> expand_models(const std::vector<std::string>& arguments) {
  std::vector<fs::path> models;
  for (const auto& argument : arguments) {
    const fs::path path =
        argument.size() > 1 && argument.back() == '/' ? argument.substr(0, argument.size() - 1) : argument;
    std::vector<fs::path> found;
    if (fs::exists(path)) {
      found = models_at(path);
      // Whoever reads it says best what is wrong with a file that is no model.
      if (found.empty() && fs::is_regular_file(path)) found.push_back(path);
    } else {
      for (const auto& match : matches(argument)) {
        const auto some = models_at(match);
        found.insert(found.end(), some.begin(), some.end());
      }
    }
    if (found.empty()) {
      throw Error(ExitCode::kBadInput,
                  {argument, "a model directory, a weight file, a folder of models or a glob",
                   fs::exists(path) ? "a folder without a model" : "nothing there",
                   fs::exists(path) ? "Check the path." : way_to_model(argument)});
    }
    models.insert(models.end(), found.begin(), found.end());
  }
  return models;
}

fs::path find_model(const std::string& argument) {
  const auto models = expand_models({argument});
  if (models.size() == 1) return models.front();
  std::vector<std::string> names;
  for (const auto& model : models) names.push_back(model.string());
  throw Error(ExitCode::kBadInput, {argument, "one model", join(names), "Name one of them."});
}

std::vector<std::string> batch_names(const std::vector<fs::path>& models) {
  std::vector<std::vector<std::string>> parts;
  for (const auto& model : models) {
    parts.emplace_back();
    for (const auto& part : fs::absolute(model).lexically_normal()) parts.back().push_back(part.string());
  }
  size_t common = parts.front().size() - 1;
  for (const auto& path : parts) {
    const auto differs = std::mismatch(path.begin(), path.end(), parts.front().begin(), parts.front().end());
    common = std::min({common, static_cast<size_t>(differs.first - path.begin()), path.size() - 1});
  }
  std::vector<std::string> names;
  for (const auto& path : parts)
    names.push_back(join({path.begin() + static_cast<long>(common), path.end()}, "__"));
  return names;
}

}  // namespace bilens
