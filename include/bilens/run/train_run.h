#pragma once

#include <filesystem>

#include "bilens/data/image_dataset.h"
#include "bilens/model/image_classifier.h"
#include "bilens/run/outcome.h"
#include "bilens/train/trainer.h"

namespace bilens {

/// The whole config of `bilens train`.
struct TrainRunConfig {
  int64_t format_version = 1;
  ClassifierConfig model;
  ImageDataConfig data;
  TrainConfig train;
  CheckpointConfig checkpoint;
  std::string device = "auto";
  int64_t threads = 0;

  static const FieldTable<TrainRunConfig>& fields();
};

struct TrainRunOptions {
  Json config;  // as the user wrote it
  std::string where;
  std::filesystem::path out;
  bool resume = false;
  bool dry_run = false;
};

/// Config in, model directory out: data, model, training, test result, OUT/model. See docs/formats.md for the
/// files.
Outcome run_training(const TrainRunOptions& options);

}  // namespace bilens
