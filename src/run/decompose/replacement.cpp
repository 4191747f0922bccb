#include "replacement.h"

#include <algorithm>
#include <regex>
#include <vector>

#include "bilens/io/safetensors.h"
#include "bilens/records/decomposition.h"
#include "bilens/records/layer_file.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

/// Whether a file of this folder is a part of a decomposition: by its name, and by what it says of itself
/// where others have files of such names.
bool is_part(const fs::directory_entry& entry) {
  static const std::vector<std::string> studies = {"surrogate.safetensors", "study.json", "study.safetensors",
                                                   "corpus.json", "corpus.safetensors"};
  static const std::regex progress("layer_[0-9]+\\.progress\\.json"),
      layer("layer_[0-9]+\\.safetensors(\\.part)?");
  const auto name = entry.path().filename().string();
  if (entry.is_symlink() || !entry.is_regular_file()) return false;
  if (is_own_leftover(name)) return true;
  if (std::find(studies.begin(), studies.end(), name) != studies.end()) return true;
  if (std::regex_match(name, progress)) return true;
  try {
    if (name == kDecompositionFile)
      return names_format(read_json(entry.path(), ExitCode::kBadInput), DecompositionRecord::kFormat);
    return std::regex_match(name, layer) &&
           names_format(SafetensorsFile(entry.path()).metadata(), kLayerFormat);
  } catch (const Error&) {
    return false;  // damaged, so nobody can tell whose it is
  }
}

bool is_layer_or_description(const std::string& name) {
  return name == kDecompositionFile || name.starts_with("layer_");
}

/// "/decomposition/" and what a link leads to are the folder itself.
fs::path resolved(const fs::path& folder) { return fs::canonical(folder); }

/// @return `folder` @throws Error(kUsage)
fs::path require_decomposition(const fs::path& folder) {
  std::vector<std::string> others;
  if (fs::is_directory(folder)) {
    for (const auto& entry : fs::directory_iterator(folder))
      if (!is_part(entry)) others.push_back(entry.path().filename().string());
  }
  std::sort(others.begin(), others.end());
  if (others.size() > 3) others.resize(3), others.emplace_back("...");
  if (holds_decomposition(folder)) return folder;
  throw Error(ExitCode::kUsage,
              {folder.string(), "a decomposition and nothing else, to be replaced by --overwrite",
               !fs::is_directory(folder) ? "a file"
               : others.empty()          ? "no layer of one"
                                         : join(others),
               "Nothing there was touched: move it away, or name another folder with --out."});
}

}  // namespace

bool holds_decomposition(const fs::path& folder) {
  if (!fs::is_directory(folder)) return false;
  bool found = false;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!is_part(entry)) return false;
    found = found || is_layer_or_description(entry.path().filename().string());
  }
  return found;
}

Replacement::Replacement(const fs::path& out)
    : out_(resolved(require_decomposition(out))), lock_(out_), folder_(out_) {}

}  // namespace bilens
