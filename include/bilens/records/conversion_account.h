#pragma once

#include "bilens/records/calibration.h"
#include "bilens/records/conversion.h"

namespace bilens {

/// What three models make of a prompt.
struct SampleTexts {
  std::string prompt, teacher;
  std::optional<std::string> untrained;  // of a run that trained
  std::string finished;

  static const RecordTable<SampleTexts>& record();
};

/// finetune.json: what a conversion cost, and how far its result is from its teacher.
struct ConversionAccount {
  static constexpr RecordFormat kFormat = {"bilens-finetune", 1};
  static constexpr const char* kFile = "finetune.json";

  std::string teacher, teacher_sha256;
  bool converted = true;
  std::optional<CalibrationAccount> calibration;
  std::optional<SeenBesideTeacher> untrained;
  std::optional<int64_t> teacher_parameters, parameters;
  int64_t trained_tokens = 0;
  double training_flops = 0, epochs = 0;
  std::optional<SeenBesideTeacher> validation, test;
  std::optional<SampleTexts> samples;

  static const RecordTable<ConversionAccount>& record();
};

/// What goes with the weights, of a model that was converted.
ConversionRecord conversion_of(const ConversionAccount& account);

}  // namespace bilens
