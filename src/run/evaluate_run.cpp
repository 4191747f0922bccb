#include "bilens/run/evaluate_run.h"

#include <cinttypes>

#include "bilens/core/memory.h"
#include "bilens/core/text.h"
#include "bilens/model/model_directory.h"
#include "bilens/run/batch.h"
#include "bilens/run/data_spec.h"
#include "bilens/run/model_arguments.h"
#include "bilens/tensor/device.h"
#include "bilens/train/evaluate.h"

namespace bilens {

namespace {

ImageDataset load_test_data(const std::string& spec, const std::filesystem::path& model,
                            const ClassifierConfig& config) {
  const auto data_config = data_of_model(spec, model);
  if (!data_config) {
    throw Error(ExitCode::kUsage,
                {model.string(), "data to evaluate on", "no --data, and no run beside the model",
                 "Give --data, for example --data mnist-5k."});
  }
  auto data = load_images(*data_config, 0);
  if (data.height * data.width != config.d_input || data.classes > config.d_output) {
    throw Error(ExitCode::kBadInput, {model.string(),
                                      "images of " + std::to_string(config.d_input) + " pixels in at most " +
                                          std::to_string(config.d_output) + " classes",
                                      std::to_string(data.height * data.width) + " pixels in " +
                                          std::to_string(data.classes) + " classes",
                                      "Give the data that the model was trained for."});
  }
  return data;
}

}  // namespace

Outcome run_evaluation(const EvaluateRunOptions& options) {
  Outcome outcome;
  const auto models = expand_models(options.models);
  const auto device = choose_device(options.device);
  set_threads(options.threads);
  int64_t largest = 0;
  for_each_model(models, outcome, [&](const std::filesystem::path& path) {
    const auto config = read_classifier_config(path);
    const auto data = load_test_data(options.data, path, config);
    largest = std::max(largest, config.parameter_count() * 4);
    auto model = load_classifier(path, device);
    if (options.dry_run) return;
    const auto result = evaluate_classifier(model, data.test);
    outcome.results.push_back({{"model", path.string()},
                               {"examples", result.examples},
                               {"loss", result.loss},
                               {"accuracy", result.accuracy}});
    outcome.text += format("loss %.4f  accuracy %.2f%%  (%" PRId64 " images)  ", result.loss,
                           100 * result.accuracy, result.examples) +
                    path.string() + "\n";
  });
  if (options.dry_run) {
    for (const auto& failure : outcome.failures)
      outcome.problems.push_back({failure.model, "", failure.message, ""});
    outcome.estimate = {{"memory_bytes", peak_memory()}, {"disk_bytes", 0}, {"seconds", nullptr}};
  }
  return outcome;
}

}  // namespace bilens
