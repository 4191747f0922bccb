#pragma once

#include <filesystem>
#include <functional>
#include <optional>

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

/// The folder checkpoints/ of a run: step-N directories that are there whole, with DONE in them, or not at
/// all.
class CheckpointStore {
 public:
  CheckpointStore(std::filesystem::path folder, int64_t keep_last);

  /// The newest complete one; incomplete ones are passed over with a warning.
  std::optional<Checkpoint> newest() const;

  /// `fill` writes the files; then the directory takes its place, and only then older ones go.
  void save(int64_t step, const std::function<void(const std::filesystem::path&)>& fill);

 private:
  std::vector<Checkpoint> complete() const;

  std::filesystem::path folder_;
  int64_t keep_last_;
};

}  // namespace bilens
