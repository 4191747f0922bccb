#include "bilens/records/metrics.h"

#include "bilens/records/record_file.h"

namespace bilens {

namespace {
constexpr const char* kStepKey = "step";
constexpr const char* kSplitKey = "split";
}  // namespace

const RecordTable<MetricsPlace>& MetricsPlace::record() {
  using R = MetricsPlace;
  static const auto table = RecordTable<R>()
                                .field(kStepKey, &R::step, "Steps of the run so far.", "steps")
                                .natural()
                                .field("epoch", &R::epoch, "Passes over the training data so far.", "epochs")
                                .added_later();
  return table;
}

const RecordTable<StepMetrics>& StepMetrics::record() {
  using R = StepMetrics;
  static const auto table =
      RecordTable<R>()
          .all_of(MetricsPlace::record())
          .field("loss", &R::loss, "Mean over the batch of what is trained.", "nats an image or a token")
          .added_later()
          .field("accuracy", &R::accuracy, "Share of the batch's images that are classified correctly.")
          .omitted()
          .field("grad_norm", &R::grad_norm,
                 "Norm of the gradient; null where it is not finite, which skips the step.")
          .added_later()
          .field("lr", &R::learning_rate, "Learning rate.")
          .added_later()
          .field("images_per_second", &R::images_per_second,
                 "Rate of the steps so far, without validation and checkpoints; of images.",
                 "images a second")
          .omitted()
          .field("tokens_per_second", &R::tokens_per_second, "The same of text.", "tokens a second")
          .omitted()
          .field("mfu", &R::mfu,
                 "Share of what this machine's matrix products reached when the run began, in the dtype of "
                 "`train.compute`.")
          .added_later();
  return table;
}

const RecordTable<EvaluationMetrics>& EvaluationMetrics::record() {
  using R = EvaluationMetrics;
  static const auto table =
      RecordTable<R>()
          .all_of(MetricsPlace::record())
          .field(kSplitKey, &R::split, "`validation` or `test`: the part of the data.")
          .field("examples", &R::examples, "Images that were classified.", "images")
          .omitted()
          .natural()
          .field("tokens", &R::tokens, "Tokens that were predicted.", "tokens")
          .omitted()
          .natural()
          .field("loss", &R::loss, "Mean cross-entropy.", "nats an image or a token")
          .added_later()
          .field("accuracy", &R::accuracy, "Share of the images that are classified correctly.")
          .omitted()
          .field("perplexity", &R::perplexity, "e^loss, of text.")
          .omitted()
          .field("peak_memory", &R::peak_memory,
                 "Most main memory that the process took so far, of text in validation.", "bytes")
          .omitted()
          .field("beta", &R::beta, "While a conversion anneals, β of its activation, mean over layers.")
          .omitted();
  return table;
}

const RecordTable<SampleMetrics>& SampleMetrics::record() {
  using R = SampleMetrics;
  static const auto table = RecordTable<R>()
                                .all_of(MetricsPlace::record())
                                .field(kSplitKey, &R::split, "`sample`.")
                                .field("text", &R::text, "`train.sample.prompt`, continued by the model.")
                                .added_later();
  return table;
}

Json write_metrics_line(const MetricsLine& line) {
  return std::visit(
      [](const auto& metrics) { return RecordValue<std::decay_t<decltype(metrics)>>::write(metrics); }, line);
}

MetricsLine read_metrics_line(const std::string& text, const std::string& where) {
  const Json json = parse_json(text, where, ExitCode::kBadInput);
  const Json split = json.is_object() ? json.value(kSplitKey, Json()) : Json();
  if (split.is_null()) return read_record<StepMetrics>(json, where);
  if (split == Json(SampleMetrics::kSplit)) return read_record<SampleMetrics>(json, where);
  return read_record<EvaluationMetrics>(json, where);
}

int64_t step_of(const MetricsLine& line) {
  return std::visit([](const auto& metrics) { return metrics.step; }, line);
}

std::string split_of(const MetricsLine& line) {
  if (const auto* evaluation = std::get_if<EvaluationMetrics>(&line)) return evaluation->split;
  return std::holds_alternative<SampleMetrics>(line) ? SampleMetrics::kSplit : "train";
}

NamedNumbers numbers_of(const MetricsLine& line) {
  NamedNumbers numbers;
  const Json json = write_metrics_line(line);
  for (const auto& [key, value] : json.items())
    if (key != kStepKey && value.is_number()) numbers.emplace_back(key, value.get<double>());
  return numbers;
}

}  // namespace bilens
