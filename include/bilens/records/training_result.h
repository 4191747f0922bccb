#pragma once

#include "bilens/records/conversion.h"

namespace bilens {

// What `bilens train` and `bilens finetune` print with --json, in two parts.

/// The finished image classifier on the test images.
struct ImageResult {
  std::string model;
  int64_t examples = 0;
  double loss = 0, accuracy = 0;

  static const RecordTable<ImageResult>& record();
};

/// The finished language model on the test part; nothing where there is no such part.
struct TextResult {
  std::string model;
  std::optional<int64_t> tokens;
  std::optional<double> loss, perplexity;

  static const RecordTable<TextResult>& record();
};

/// The finished conversion beside its teacher.
struct FinetuneResult {
  std::string model;
  std::optional<SeenBesideTeacher> untrained, validation, test;

  static const RecordTable<FinetuneResult>& record();
};

/// How the run went, behind the result; there where it was not finished before.
struct RunFigures {
  int64_t steps = 0, skipped_steps = 0, loss_spikes = 0;
  std::optional<double> images_per_second, tokens_per_second;
  int64_t peak_memory_bytes = 0;
  std::optional<int64_t> peak_device_memory_bytes;

  static const RecordTable<RunFigures>& record();
};

}  // namespace bilens
