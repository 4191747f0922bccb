#pragma once

#include "bilens/records/record_table.h"

namespace bilens {

/// Bytes that a conversion takes beside its training.
struct ConversionMemory {
  int64_t teacher = 0;  // held all the time
  int64_t closed_form = 0, comparison = 0;

  static const RecordTable<ConversionMemory>& record();
};

/// Bytes of a run beyond its data, by what they are for.
struct TrainingMemory {
  int64_t weights = 0, gradients = 0, moments = 0;
  int64_t activations = 0;  // what the backward pass needs of the sequences computed at once, with the loss
  std::optional<ConversionMemory> conversion;

  int64_t total() const { return weights + gradients + moments + activations; }  // of training

  static const RecordTable<TrainingMemory>& record();
};

/// What a command would take, as its dry run says.
struct Estimate {
  int64_t memory_bytes = 0;
  std::optional<int64_t> device_memory_bytes;
  std::optional<TrainingMemory> memory;
  int64_t disk_bytes = 0;
  std::optional<double> seconds = 0.0;  // nothing: not known

  static const RecordTable<Estimate>& record();
};

}  // namespace bilens
