#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "bilens/core/fields.h"

namespace bilens {

struct CheckpointConfig {
  int64_t every_epochs = 1;
  int64_t every_steps = 0;
  int64_t keep_last = 2;

  static const FieldTable<CheckpointConfig>& fields();
};

struct Checkpoint {
  int64_t step = 0;
  std::filesystem::path directory;
};

/// Compares the files with their hashes in DONE. The DONE of an earlier version is empty and proves nothing.
/// Files that came later, as a decomposition, do not count.
/// @throws Error(kBadInput) for a file that is not as it was written, or missing
void require_unchanged(const Checkpoint& checkpoint);
/// Whether one file is as it was written, by the same hashes; the others are not read.
bool is_unchanged(const Checkpoint& checkpoint, const std::string& name);

/// The folder checkpoints/ of a run: step-N directories that are there whole, with DONE in them, or not at
/// all.
class CheckpointStore {
 public:
  CheckpointStore(std::filesystem::path folder, int64_t keep_last);

  /// The complete ones; incomplete ones are passed over.
  std::vector<Checkpoint> newest_first() const;
  /// Warns of each that is incomplete.
  void name_incomplete() const;

  /// `fill` writes the files; then the directory takes its place, and only then older ones go. Later ones, of
  /// a run that went back to an older checkpoint, stay until it comes to their steps, and are not counted.
  void save(int64_t step, const std::function<void(const std::filesystem::path&)>& fill);

 private:
  std::vector<Checkpoint> all() const;

  std::filesystem::path folder_;
  int64_t keep_last_;
};

}  // namespace bilens
