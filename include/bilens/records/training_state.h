#pragma once

#include "bilens/records/data_file.h"
#include "bilens/records/record_file.h"

namespace bilens {

/// What spikes of the loss are told from: its weighted mean and variance over the steps so far.
struct LossSpikeState {
  double mean = 0.0, variance = 0.0;
  int64_t steps = 0, count = 0;

  static const RecordTable<LossSpikeState>& record();
};

/// trainer.json of a checkpoint: where the run stands, and what it reads.
struct TrainingState {
  static constexpr RecordFormat kFormat = {"bilens-checkpoint", 1};
  static constexpr const char* kFile = "trainer.json";

  int64_t step = 0, total_steps = 0;
  KnownDataFiles data;
  int64_t skipped_steps = 0, skipped_in_a_row = 0;
  double last_loss = 0.0;
  std::optional<LossSpikeState> loss_spikes;

  static const RecordTable<TrainingState>& record();
};

}  // namespace bilens
