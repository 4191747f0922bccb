#include "bilens/records/training_state.h"

namespace bilens {

const RecordTable<LossSpikeState>& LossSpikeState::record() {
  using R = LossSpikeState;
  static const auto table = RecordTable<R>()
                                .field("mean", &R::mean, "Weighted mean of the loss.", "nats")
                                .field("variance", &R::variance, "Its weighted variance.", "nats²")
                                .field("steps", &R::steps, "Steps that are in them.", "steps")
                                .field("count", &R::count, "Spikes so far.", "spikes");
  return table;
}

const RecordTable<TrainingState>& TrainingState::record() {
  using R = TrainingState;
  static const auto table =
      RecordTable<R>()
          .field("step", &R::step, "Steps that are made.", "steps")
          .field("total_steps", &R::total_steps, "Steps of the whole run.", "steps")
          .field(
              "data", &R::data,
              "The files that the run reads: images and labels, or text or tokens and the tokenizer's files.")
          .field("skipped_steps", &R::skipped_steps, "Steps whose gradient was not finite.", "steps")
          .added_later()
          .field("skipped_in_a_row", &R::skipped_in_a_row, "How many of them were the last ones.", "steps")
          .added_later()
          .field("last_loss", &R::last_loss, "Loss of the last step.", "nats")
          .added_later()
          .field("loss_spikes", &R::loss_spikes, "What spikes of the loss are told from.");
  return table;
}

}  // namespace bilens
