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

}  // namespace

Json describe_data_files(const std::vector<fs::path>& files) {
  Json list = Json::array();
  for (const auto& file : files)
    list.push_back(
        {{"path", file.string()}, {"bytes", fs::file_size(file)}, {"sha256", sha256_of_file(file)}});
  return list;
}

void require_same_data(const Json& before, const fs::path& source, const Json& now) {
  if (!before.is_array()) return;
  std::vector<Problem> problems;
  for (size_t i = 0; i < std::max(before.size(), now.size()); ++i) {
    const Json was = i < before.size() ? before[i] : Json(), is = i < now.size() ? now[i] : Json();
    if (same_bytes(was, is)) continue;
    const Json path = (is.is_object() ? is : was).value("path", Json("data"));
    problems.push_back({path.is_string() ? path.get<std::string>() : "data",
                        "the data of the run, " + in_words(was) + " by " + source.string(), in_words(is),
                        "Put that file back, or start anew with another --out."});
  }
  if (!problems.empty()) throw Error(ExitCode::kBadInput, problems);
}

void require_same_data_as_checkpoint(const fs::path& folder, const Json& now) {
  for (const auto& checkpoint : CheckpointStore(folder, 1).newest_first()) {
    const fs::path file = checkpoint.directory / kTrainerFile;
    Json state;
    try {
      state = read_json(file, ExitCode::kBadInput);
    } catch (const Error&) {
      continue;  // whoever loads it says what is wrong
    }
    if (state.is_object() && state.contains("data")) return require_same_data(state.at("data"), file, now);
  }
}

}  // namespace bilens
