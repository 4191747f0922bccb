#include "bilens/run/evaluate_run.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "bilens/core/memory.h"
#include "bilens/core/stopwatch.h"
#include "bilens/model/model_directory.h"
#include "bilens/tensor/device.h"
#include "bilens/train/image_evaluation.h"
#include "bilens/train/measured_step.h"
#include "bilens/train/text_evaluation.h"
#include "evaluation_result.h"
#include "models/batch.h"
#include "models/data_spec.h"
#include "models/language_model.h"
#include "models/model_arguments.h"

namespace bilens {

namespace {

constexpr int64_t kLongestContext = 2048;  // of windows, where none is asked for

ImageDataset load_test_data(const std::string& spec, const StoredModel& model,
                            const ClassifierConfig& config) {
  const auto data_config = data_of_model(spec, model);
  if (!data_config) throw no_data(model.path().string(), "images to evaluate on", "mnist-5k");
  return load_images_for(config, model.path(), *data_config);
}

/// Seconds that the test images take, by the second of two passes over some of them.
double measure_images(ImageClassifier& model, const ImageSplit& split) {
  constexpr int64_t kEnough = 256;
  const int64_t some = std::min(kEnough, split.size());
  const ImageSplit part{split.images.narrow(0, 0, some), split.labels.narrow(0, 0, some)};
  double taken = 0;
  for (int64_t time = 0; time < 2 && some > 0; ++time) {
    const Stopwatch watch;
    evaluate_classifier(model, part);
    taken = watch.seconds();
  }
  return some > 0 ? taken * static_cast<double>(split.size()) / static_cast<double>(some) : 0;
}

/// Adds to a dry run's time; what is not known stays so.
void add_seconds(Outcome& outcome, const std::optional<double>& seconds) {
  auto& sum = outcome.estimate->seconds;
  sum = sum && seconds ? std::optional(*sum + *seconds) : std::nullopt;
}

template <class Result>
void add_result(const Result& result, Outcome& outcome) {
  outcome.results.push_back(Result::record().write(result));
  outcome.text += evaluation_in_words(result);
}

/// Adds one model's result, or in a dry run its time.
void evaluate_images(const StoredModel& stored, const EvaluateRunOptions& options, Outcome& outcome) {
  const auto config = read_classifier_config(stored);
  const auto data = load_test_data(options.data, stored, config);
  const Stopwatch watch;
  auto model = load_classifier(stored, choose_device(options.device));
  if (options.dry_run) {
    add_seconds(outcome, watch.seconds() + measure_images(model, data.test));
  } else {
    const auto found = evaluate_classifier(model, data.test);
    add_result(ImageResult{stored.path().string(), found.examples, found.loss, found.accuracy}, outcome);
  }
}

/// The text that is asked for, in windows that are asked for; of a run's own text the test part.
TextDataConfig choose_text(const LanguageModel& model, const EvaluateRunOptions& options) {
  auto data = text_of_model(options.data, model.stored);
  if (!data) throw no_data(model.path().string(), "text to evaluate on", "text:stories.txt.gz");
  if (options.data.empty()) {
    data->split = TextSplit::kTest;
  } else {
    data->context = std::min(model.config.max_position_embeddings, kLongestContext);
  }
  if (options.context > 0) data->context = options.context;
  if (data->context < 2 || data->context > model.config.max_position_embeddings) {
    throw Error(ExitCode::kUsage,
                {"--context",
                 "2 to the model's " + std::to_string(model.config.max_position_embeddings) + " positions",
                 std::to_string(data->context), ""});
  }
  return *data;
}

void evaluate_language(const StoredModel& stored, const EvaluateRunOptions& options, Outcome& outcome) {
  const auto source = open_language_model(stored);
  const auto data = choose_text(source, options);
  const auto stream = load_stream(data, source, options.tokenizer);
  DecoderLoadOptions load;
  load.device = choose_device(options.device);
  const int64_t weights = 4 * source.config.parameter_count();
  if (options.dry_run && load.device.is_cpu() && weights > available_memory()) {
    outcome.estimate->memory_bytes = peak_memory() + weights;
    return add_seconds(outcome, std::nullopt);
  }
  const Stopwatch watch;
  auto model = source.load(load);
  if (options.dry_run) {
    const double loading = watch.seconds();
    const double token = measure_reading(
        stream, data.context, [&](const TokenStream& some) { evaluate_text(model, some, data.context); });
    add_seconds(outcome, loading + token * static_cast<double>(stream.size()));
  } else {
    const auto found = evaluate_text(model, stream, data.context);
    if (!std::isfinite(found.loss)) {
      throw Error(ExitCode::kBadInput,
                  {stored.path().string(), "a finite loss", std::to_string(found.loss),
                   "Its config or its weights are damaged: `bilens check` shows where."});
    }
    add_result(
        TextEvaluated{stored.path().string(), found.tokens, found.loss, found.perplexity(), data.context},
        outcome);
  }
}

}  // namespace

Outcome run_evaluation(const EvaluateRunOptions& options) {
  Outcome outcome;
  if (options.dry_run) outcome.estimate.emplace();
  const auto models = expand_models(options.models);
  choose_device(options.device);
  set_threads(options.threads);
  for_each_model(models, outcome, [&](const std::filesystem::path& path, Turn) {
    const StoredModel model(path);
    is_language_model(model) ? evaluate_language(model, options, outcome)
                             : evaluate_images(model, options, outcome);
    return true;
  });
  if (options.dry_run) {
    for (const auto& failure : outcome.failures)
      outcome.problems.push_back({failure.model, "", failure.message, ""});
    auto& memory = outcome.estimate->memory_bytes;
    memory = std::max(memory, peak_memory());
  }
  return outcome;
}

}  // namespace bilens
