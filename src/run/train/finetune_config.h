#pragma once

#include <optional>
#include <string>

#include "bilens/data/text_data.h"
#include "bilens/train/calibration.h"
#include "bilens/train/finetune_task.h"
#include "training_job.h"

namespace bilens {

/// What stands in place of the stages that make a model bilinear, to compare with.
enum class Baseline {
  kNone,
  kContinue,  // the gated model, trained for as many tokens
  kCold       // SiLU replaced by half the identity at once
};

/// More hidden units, before anything else.
struct WidenConfig {
  double factor = 2.0;

  static const FieldTable<WidenConfig>& fields();
};

/// The stages that a config lists, in their order; each at most once.
struct Stages {
  std::optional<WidenConfig> widen;
  std::optional<CalibrationConfig> calibrate;
  std::optional<AnnealConfig> anneal;
  bool settle = false;

  bool trains() const { return anneal || settle; }
};

/// What a config without stages does.
Stages calibrate_and_settle();

/// The config of a conversion.
struct FinetuneRunConfig : RunConfig {
  FinetuneRunConfig();  // out of line: g++ 12 warns where it is inlined

  std::string teacher;
  std::string teacher_sha256;                   // of its weights; empty: whatever they are
  std::optional<at::ScalarType> teacher_dtype;  // not given: as stored
  TextDataConfig data;
  Stages stages = calibrate_and_settle();
  Baseline baseline = Baseline::kNone;
  FinetuneTrainConfig train;

  static const FieldTable<FinetuneRunConfig>& fields();
};

}  // namespace bilens
