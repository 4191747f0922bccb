#include "bilens/io/hub_cache.h"

#include <algorithm>
#include <cstdlib>
#include <regex>
#include <vector>

#include "bilens/core/files.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

Error no_snapshot(const fs::path& where, const std::string& expected, const std::string& found,
                  const std::string& fix) {
  return Error(ExitCode::kBadInput, {where.string(), expected, found, fix});
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

fs::path hub_cache() {
  if (const auto cache = variable("HF_HUB_CACHE"); !cache.empty()) return cache;
  if (const auto home = variable("HF_HOME"); !home.empty()) return fs::path(home) / "hub";
  if (const auto all = variable("XDG_CACHE_HOME"); !all.empty()) return fs::path(all) / "huggingface/hub";
  const auto user = variable("HOME");
  return user.empty() ? fs::path() : fs::path(user) / ".cache/huggingface/hub";
}

}  // namespace

bool is_hub_cache(const fs::path& folder) {
  return fs::is_directory(folder / "snapshots") && fs::is_directory(folder / "blobs");
}

namespace {

/// The snapshot that cached_snapshot describes.
fs::path choose_snapshot(const fs::path& folder) {
  const fs::path all = folder / "snapshots", main = folder / "refs/main";
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(all)) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  if (names.empty()) {
    throw no_snapshot(all, "a snapshot of the model, in the cache of the hub", "none",
                      "The download did not end: start it again.");
  }
  if (!fs::is_regular_file(main)) {
    if (names.size() == 1) return all / names.front();
    throw no_snapshot(folder, "refs/main, which names one of the snapshots in the cache of the hub",
                      "none, beside the snapshots " + join(names),
                      "Name one of them: " + (all / names.front()).string());
  }
  std::string named = read_text(main, 1000, ExitCode::kBadInput);
  named.erase(named.find_last_not_of(" \r\n") + 1);
  if (std::find(names.begin(), names.end(), named) != names.end()) return all / named;
  throw no_snapshot(main, "the name of a snapshot in the cache of the hub: " + join(names),
                    "\"" + named.substr(0, 60) + "\"",
                    "Start the download again, or name a snapshot: " + (all / names.front()).string());
}

/// A snapshot's files are links, which lead nowhere where a download was broken off or a blob removed.
void require_blobs(const fs::path& snapshot) {
  for (const auto& entry : fs::directory_iterator(snapshot)) {
    const auto kind = entry.path().extension();
    const bool is_read = kind == ".json" || kind == ".safetensors" || kind == ".bin" || kind == ".model";
    if (!is_read || !entry.is_symlink() || fs::exists(entry.path())) continue;
    throw no_snapshot(entry.path(), "a file of the model, in the cache of the hub",
                      "a link to " + fs::read_symlink(entry.path()).string() + ", which is not there",
                      "The download did not end: start it again.");
  }
}

}  // namespace

fs::path cached_snapshot(const fs::path& folder) {
  auto snapshot = choose_snapshot(folder);
  require_blobs(snapshot);
  return snapshot;
}

std::string cached_model_name(const fs::path& path) {
  static const std::string kModels = "models--";
  std::error_code ignored;
  for (auto at = fs::weakly_canonical(path, ignored); at.has_relative_path(); at = at.parent_path()) {
    const auto name = at.filename().string();
    if (name.starts_with(kModels) && is_hub_cache(at)) return name.substr(kModels.size());
  }
  return "";
}

fs::path folder_for_results(const fs::path& path) {
  const auto name = cached_model_name(path);
  return name.empty() ? path : fs::path("runs") / name;
}

fs::path find_in_hub_cache(const std::string& name) {
  static const std::regex form("([A-Za-z0-9][A-Za-z0-9._-]*)/([A-Za-z0-9][A-Za-z0-9._-]*)");
  std::smatch match;
  const auto cache = hub_cache();
  if (cache.empty() || !std::regex_match(name, match, form)) return {};
  const fs::path folder = cache / ("models--" + match[1].str() + "--" + match[2].str());
  return is_hub_cache(folder) ? folder : fs::path();
}

}  // namespace bilens
