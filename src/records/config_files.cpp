#include "bilens/records/config_files.h"

namespace bilens {

const RecordTable<RunSettings::Train>& RunSettings::Train::record() {
  using R = RunSettings::Train;
  static const auto table = RecordTable<R>().field("seed", &R::seed, "Seed of all random numbers.").natural();
  return table;
}

const RecordTable<RunSettings>& RunSettings::record() {
  using R = RunSettings;
  static const auto table = RecordTable<R>()
                                .field("data", &R::data, "Settings of the data that the run read.")
                                .field("train", &R::train, "Settings of the training.");
  return table;
}

const RecordTable<ModelSettings>& ModelSettings::record() {
  using R = ModelSettings;
  static const auto table = RecordTable<R>()
                                .field("model_type", &R::model_type, "What the model is.")
                                .field("format_version", &R::format_version,
                                       "Version of the format; our own classifiers alone have it.");
  return table;
}

void ModelSettings::require_version(const std::string& where) const {
  if (format_version.value_or(kVersion) == kVersion) return;
  throw Error(ExitCode::kBadInput,
              {key_path(where, "format_version"), std::to_string(kVersion), std::to_string(*format_version),
               "It was written by a newer bilens: update this one."});
}

}  // namespace bilens
