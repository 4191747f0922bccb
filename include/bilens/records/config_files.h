#pragma once

#include "bilens/records/record_file.h"

namespace bilens {

// What other commands read of the config.json of a run and of a model. The tables of their own configs write
// them.

/// What a run read, and its seed.
struct RunSettings {
  struct Train {
    std::optional<int64_t> seed;
    static const RecordTable<Train>& record();
  };

  std::optional<Json> data;  // as the data's own config reads it
  std::optional<Train> train;

  static const RecordTable<RunSettings>& record();
};

/// A model's type, and the version of its format where it is one of ours.
struct ModelSettings {
  static constexpr int64_t kVersion = 1;

  std::optional<std::string> model_type;
  std::optional<int64_t> format_version;

  static const RecordTable<ModelSettings>& record();

  /// @throws Error(kBadInput) for a version other than kVersion; a model of others has none
  void require_version(const std::string& where) const;
};

}  // namespace bilens
