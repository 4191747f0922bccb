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

fs::path cached_snapshot(const fs::path& folder) {
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

fs::path find_in_hub_cache(const std::string& name) {
  static const std::regex form("([A-Za-z0-9][A-Za-z0-9._-]*)/([A-Za-z0-9][A-Za-z0-9._-]*)");
  std::smatch match;
  const auto cache = hub_cache();
  if (cache.empty() || !std::regex_match(name, match, form)) return {};
  const fs::path folder = cache / ("models--" + match[1].str() + "--" + match[2].str());
  return is_hub_cache(folder) ? folder : fs::path();
}

}  // namespace bilens
