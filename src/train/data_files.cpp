#include "bilens/train/data_files.h"

#include <algorithm>

#include "bilens/core/sha256.h"
#include "bilens/records/training_state.h"
#include "bilens/train/checkpoint.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

std::string in_words(const DataFile* file) {
  if (!file) return "no such file";
  return std::to_string(file->bytes) + " bytes, sha256 \"" + file->sha256 + "\"";
}

bool same_bytes(const DataFile* was, const DataFile* is) {
  return was && is && was->bytes == is->bytes && was->sha256 == is->sha256;
}

/// The data in the newest checkpoint that says what its run read, and the file that says so.
std::pair<KnownDataFiles, fs::path> data_of_newest(const fs::path& folder) {
  for (const auto& checkpoint : CheckpointStore(folder, 1).newest_first()) {
    if (!is_unchanged(checkpoint, TrainingState::kFile)) continue;  // whoever loads it says what is wrong
    const fs::path file = checkpoint.directory / TrainingState::kFile;
    try {
      const auto state = read_record_file<TrainingState>(file);
      if (state.data) return {state.data, file};
    } catch (const Error&) {
      continue;
    }
  }
  return {};
}

}  // namespace

std::vector<DataFile> describe_data_files(const std::vector<fs::path>& files) {
  std::vector<DataFile> list;
  for (const auto& file : files)
    list.push_back({file.string(), static_cast<int64_t>(fs::file_size(file)), sha256_of_file(file)});
  return list;
}

void require_same_data(const KnownDataFiles& before, const fs::path& source, const std::vector<DataFile>& now,
                       const std::string& otherwise) {
  if (!before) return;
  std::vector<Problem> problems;
  for (size_t i = 0; i < std::max(before->size(), now.size()); ++i) {
    const DataFile* was = i < before->size() ? &(*before)[i] : nullptr;
    const DataFile* is = i < now.size() ? &now[i] : nullptr;
    if (same_bytes(was, is)) continue;
    problems.push_back({(is ? is : was)->path,
                        "the data of the run, " + in_words(was) + " by " + source.string(), in_words(is),
                        "Put that file back, or " + otherwise + "."});
  }
  if (!problems.empty()) throw Error(ExitCode::kBadInput, problems);
}

bool require_same_data_as_checkpoint(const fs::path& folder, const std::vector<DataFile>& now) {
  const auto [before, file] = data_of_newest(folder);
  require_same_data(before, file, now);
  return before.has_value();
}

void require_data_of_run(const fs::path& folder, const std::vector<fs::path>& files) {
  auto [before, file] = data_of_newest(folder);
  const auto readable = [](const fs::path& path) { return fs::is_regular_file(path); };
  // Whoever opens the files says what is wrong with one that is not there.
  if (!before || !std::all_of(files.begin(), files.end(), readable)) return;
  // A run lists its tokenizer behind its data.
  if (before->size() > files.size()) before->resize(files.size());
  require_same_data(before, file, describe_data_files(files), "name the data to take with --data");
}

}  // namespace bilens
