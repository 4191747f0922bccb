#pragma once

#include <filesystem>
#include <optional>

#include "bilens/dist/launch.h"
#include "bilens/model/stored_model.h"
#include "bilens/run/outcome.h"

namespace bilens {

struct TrainRunOptions {
  Json config;  // as the user wrote it
  std::string where;
  std::filesystem::path out;
  bool resume = false;
  bool dry_run = false;
  std::optional<StoredModel> teacher = {};  // of a fine-tuning, in memory: the config's is its name alone
  Launch launch = {};                       // the processes that train together
};

/// Config in, model directory out: data, model, training, test result, OUT/model. "model.type" says which
/// kind of model. See docs/formats.md for the files.
Outcome run_training(const TrainRunOptions& options);

/// Makes a gated checkpoint bilinear: teacher and text in; OUT/model and OUT/finetune.json, the account
/// of what the conversion cost, out.
Outcome run_finetuning(const TrainRunOptions& options);

/// JSON Schemas of the configs; of training one for each kind of model.
Json train_config_schema();
Json finetune_config_schema();

}  // namespace bilens
