#include "bilens/records/training_result.h"

namespace bilens {

namespace {
constexpr const char* kModelMeaning = "Path of the finished model.";
}  // namespace

const RecordTable<ImageResult>& ImageResult::record() {
  using R = ImageResult;
  static const auto table =
      RecordTable<R>()
          .field("model", &R::model, kModelMeaning)
          .field("examples", &R::examples, "Test images.", "images")
          .field("loss", &R::loss, "Mean cross-entropy on them.", "nats an image")
          .field("accuracy", &R::accuracy, "Share of them that is classified correctly.");
  return table;
}

const RecordTable<TextResult>& TextResult::record() {
  using R = TextResult;
  static const auto table =
      RecordTable<R>()
          .field("model", &R::model, kModelMeaning)
          .field("tokens", &R::tokens, "Tokens of the test part that were predicted.", "tokens")
          .omitted()
          .field("loss", &R::loss, "Mean cross-entropy on them.", "nats a token")
          .omitted()
          .field("perplexity", &R::perplexity, "e^loss.")
          .omitted();
  return table;
}

const RecordTable<FinetuneResult>& FinetuneResult::record() {
  using R = FinetuneResult;
  static const auto table = RecordTable<R>()
                                .field("model", &R::model, kModelMeaning)
                                .field("untrained", &R::untrained, "As in `finetune.json`.")
                                .field("validation", &R::validation, "As in `finetune.json`.")
                                .field("test", &R::test, "As in `finetune.json`.");
  return table;
}

const RecordTable<RunFigures>& RunFigures::record() {
  using R = RunFigures;
  static const auto table =
      RecordTable<R>()
          .field("steps", &R::steps, "Steps of the run.", "steps")
          .field("skipped_steps", &R::skipped_steps, "Steps whose gradient was not finite.", "steps")
          .field("loss_spikes", &R::loss_spikes, "Steps whose loss stood out.", "steps")
          .field("images_per_second", &R::images_per_second,
                 "Rate of this process's steps, without validation and checkpoints; of images.",
                 "images a second")
          .omitted()
          .field("tokens_per_second", &R::tokens_per_second, "The same of text.", "tokens a second")
          .omitted()
          .field("peak_memory_bytes", &R::peak_memory_bytes, "Most main memory that the process took.",
                 "bytes")
          .field("peak_device_memory_bytes", &R::peak_device_memory_bytes,
                 "On a GPU the most that the run's tensors held at a time.", "bytes")
          .omitted();
  return table;
}

}  // namespace bilens
