#pragma once

#include <filesystem>

#include "bilens/run/outcome.h"

namespace bilens {

struct TrainRunOptions {
  Json config;  // as the user wrote it
  std::string where;
  std::filesystem::path out;
  bool resume = false;
  bool dry_run = false;
};

/// Config in, model directory out: data, model, training, test result, OUT/model. "model.type" says which
/// kind of model. See docs/formats.md for the files.
Outcome run_training(const TrainRunOptions& options);

/// JSON Schema of the config: one of the kinds of models.
Json train_config_schema();

}  // namespace bilens
