#include "bilens/train/checkpoint.h"

#include <algorithm>
#include <map>
#include <sstream>
#include <string>

#include "bilens/core/error.h"
#include "bilens/core/files.h"
#include "bilens/core/log.h"
#include "bilens/core/sha256.h"
#include "bilens/core/text.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {
const std::string kPrefix = "step-";
constexpr const char* kDone = "DONE";
constexpr size_t kMostBytes = 1 << 20;  // of DONE: a line for each file

using Hashes = std::map<std::string, std::string>;  // SHA-256 by path within the folder

Hashes hash_files(const fs::path& folder) {
  Hashes hashes;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const auto name = entry.path().lexically_relative(folder).string();
    if (entry.is_regular_file() && name != kDone) hashes[name] = sha256_of_file(entry.path());
  }
  return hashes;
}

/// Lines as sha256sum writes them.
std::string to_text(const Hashes& hashes) {
  std::string text;
  for (const auto& [name, hash] : hashes) text += hash + "  " + name + "\n";
  return text;
}

/// Nothing where DONE is empty. @throws Error(kBadInput) for other lines than sha256sum's
Hashes read_hashes(const fs::path& done) {
  Hashes hashes;
  std::istringstream lines(read_text(done, kMostBytes, ExitCode::kBadInput));
  for (std::string line; std::getline(lines, line);) {
    const auto end = line.find("  ");
    if (end == std::string::npos)
      throw Error(ExitCode::kBadInput, {done.string(), "lines of a SHA-256 and a file", line, ""});
    hashes[line.substr(end + 2)] = line.substr(0, end);
  }
  return hashes;
}

bool is_complete(const Checkpoint& checkpoint) { return fs::exists(checkpoint.directory / kDone); }
}  // namespace

const FieldTable<CheckpointConfig>& CheckpointConfig::fields() {
  using C = CheckpointConfig;
  static const FieldTable<C> table =
      FieldTable<C>("When the state of the run is saved, to be continued with --resume.")
          .integer("every_epochs", &C::every_epochs,
                   "Epochs between checkpoints; the end of the run is always saved.", at_least(1), "epochs")
          .integer("every_steps", &C::every_steps,
                   "Steps between checkpoints, in place of every_epochs; 0: none.", between(0, 1e9), "steps")
          .integer("keep_last", &C::keep_last, "How many of the newest are kept.", at_least(1),
                   "checkpoints");
  return table;
}

CheckpointStore::CheckpointStore(fs::path folder, int64_t keep_last)
    : folder_(std::move(folder)), keep_last_(keep_last) {}

std::vector<Checkpoint> CheckpointStore::all() const {
  std::vector<Checkpoint> found;
  if (!fs::is_directory(folder_)) return found;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    const std::string digits = name.rfind(kPrefix, 0) == 0 ? name.substr(kPrefix.size()) : "";
    if (digits.empty() || digits.size() > 18 || digits.find_first_not_of("0123456789") != std::string::npos)
      continue;
    found.push_back({std::stoll(digits), entry.path()});
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.step > b.step; });
  return found;
}

std::vector<Checkpoint> CheckpointStore::newest_first() const {
  auto complete = all();
  std::erase_if(complete, [](const auto& checkpoint) { return !is_complete(checkpoint); });
  return complete;
}

void CheckpointStore::name_incomplete() const {
  for (const auto& checkpoint : all()) {
    if (!is_complete(checkpoint))
      log_warning(checkpoint.directory.string() + " is not complete (no DONE file); it is passed over");
  }
}

void require_unchanged(const Checkpoint& checkpoint) {
  for (const auto& [name, hash] : read_hashes(checkpoint.directory / kDone)) {
    const auto file = checkpoint.directory / name;
    const auto found = fs::is_regular_file(file) ? "sha256 " + sha256_of_file(file) : "nothing there";
    if (found == "sha256 " + hash) continue;
    throw Error(ExitCode::kBadInput,
                {file.string(), "sha256 " + hash, found, "The file is not as it was written."});
  }
}

bool is_unchanged(const Checkpoint& checkpoint, const std::string& name) {
  try {
    const auto written = read_hashes(checkpoint.directory / kDone);
    return written.empty() ||
           (written.contains(name) && written.at(name) == sha256_of_file(checkpoint.directory / name));
  } catch (const Error&) {
    return false;
  }
}

void CheckpointStore::save(int64_t step, const std::function<void(const fs::path&)>& fill) {
  AtomicDirectory directory(folder_ / (kPrefix + std::to_string(step)));
  fill(directory.path());
  write_text(directory.path() / kDone, to_text(hash_files(directory.path())));
  directory.commit();
  auto older = newest_first();
  std::erase_if(older, [step](const Checkpoint& other) { return other.step > step; });
  for (size_t i = static_cast<size_t>(keep_last_); i < older.size(); ++i) {
    std::error_code ignored;
    // DONE goes first: a removal that is cut short must not leave something that looks whole.
    fs::remove(older[i].directory / kDone, ignored);
    fs::remove_all(older[i].directory, ignored);
  }
}

}  // namespace bilens
