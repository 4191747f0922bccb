#include "bilens/train/data_files.h"

#include <algorithm>

#include "bilens/core/sha256.h"
#include "bilens/train/checkpoint.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

std::string in_words(const Json& file) {
  if (!file.is_object()) return "no such file";
  return file.value("bytes", Json()).dump() + " bytes, sha256 " + file.value("sha256", Json()).dump();
}

bool same_bytes(const Json& was, const Json& is) {
  return was.is_object() && is.is_object() && was.value("bytes", Json()) == is.at("bytes") &&
         was.value("sha256", Json()) == is.at("sha256");
}

/// The data in the newest checkpoint that says what its run read, and the file that says so; null: none does.
std::pair<Json, fs::path> data_of_newest(const fs::path& folder) {
  for (const auto& checkpoint : CheckpointStore(folder, 1).newest_first()) {
    if (!is_unchanged(checkpoint, kTrainerFile)) continue;  // whoever loads it says what is wrong
    const fs::path file = checkpoint.directory / kTrainerFile;
    Json state;
    try {
      state = read_json(file, ExitCode::kBadInput);
    } catch (const Error&) {
      continue;
    }
    if (state.is_object() && state.contains("data")) return {state.at("data"), file};
  }
  return {};
}

}  // namespace

Json describe_data_files(const std::vector<fs::path>& files) {
  Json list = Json::array();
  for (const auto& file : files)
    list.push_back(
        {{"path", file.string()}, {"bytes", fs::file_size(file)}, {"sha256", sha256_of_file(file)}});
  return list;
}

void require_same_data(const Json& before, const fs::path& source, const Json& now,
                       const std::string& otherwise) {
  if (!before.is_array()) return;
  std::vector<Problem> problems;
  for (size_t i = 0; i < std::max(before.size(), now.size()); ++i) {
    const Json was = i < before.size() ? before[i] : Json(), is = i < now.size() ? now[i] : Json();
    if (same_bytes(was, is)) continue;
    const Json path = (is.is_object() ? is : was).value("path", Json("data"));
    problems.push_back({path.is_string() ? path.get<std::string>() : "data",
                        "the data of the run, " + in_words(was) + " by " + source.string(), in_words(is),
                        "Put that file back, or " + otherwise + "."});
  }
  if (!problems.empty()) throw Error(ExitCode::kBadInput, problems);
}

void require_same_data_as_checkpoint(const fs::path& folder, const Json& now) {
  const auto [before, file] = data_of_newest(folder);
  require_same_data(before, file, now);
}

void require_data_of_run(const fs::path& folder, const std::vector<fs::path>& files) {
  auto [before, file] = data_of_newest(folder);
  const auto readable = [](const fs::path& path) { return fs::is_regular_file(path); };
  // Whoever opens the files says what is wrong with one that is not there.
  if (!before.is_array() || !std::all_of(files.begin(), files.end(), readable)) return;
  // A run lists its tokenizer behind its data.
  while (before.size() > files.size()) before.erase(before.size() - 1);
  require_same_data(before, file, describe_data_files(files), "name the data to take with --data");
}

}  // namespace bilens
