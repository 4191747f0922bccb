#include "bilens/run/compare_run.h"

#include <ATen/ATen.h>

#include <optional>

#include "bilens/core/memory.h"
#include "bilens/model/model_directory.h"
#include "bilens/tensor/device.h"
#include "comparison_result.h"
#include "models/data_spec.h"
#include "models/model_arguments.h"

namespace bilens {

namespace {

/// All models must speak of the same images. @throws Error(kBadInput)
void require_same_spaces(const std::vector<ImageClassifier>& models,
                         const std::vector<std::filesystem::path>& paths) {
  const auto& first = models.front()->config;
  for (size_t i = 1; i < models.size(); ++i) {
    const auto& c = models[i]->config;
    if (c.d_input == first.d_input && c.d_output == first.d_output && c.pixel_mean == first.pixel_mean &&
        c.pixel_std == first.pixel_std)
      continue;
    throw Error(ExitCode::kBadInput,
                {paths[i].string(), "the pixels, classes and normalisation of " + paths.front().string(),
                 std::to_string(c.d_input) + " pixels, " + std::to_string(c.d_output) + " classes",
                 "Only models of the same inputs and outputs can be compared."});
  }
}

/// Behind the pairs, how these vary from model to model.
void add_variation(const std::vector<std::filesystem::path>& paths, const std::vector<Comparison>& pairs,
                   Outcome& outcome) {
  ComparisonResult all;
  for (const auto& path : paths) all.models.push_back(path.string());
  all.over = over_models(pairs, static_cast<int64_t>(paths.size()));
  outcome.results.push_back(all.record().write(all));
  outcome.text += comparison_in_words(all);
}

}  // namespace

Outcome run_comparison(const EvaluateRunOptions& options) {
  const auto paths = expand_models(options.models);
  set_threads(options.threads);
  if (paths.size() < 2) throw Error(ExitCode::kUsage, {"bilens compare", "at least two models", "one", ""});
  const auto device = choose_device(options.device);
  std::vector<StoredModel> stored;
  std::vector<ImageClassifier> models;
  for (const auto& path : paths) {
    stored.emplace_back(path);
    models.push_back(load_classifier(stored.back(), device));
  }
  require_same_spaces(models, paths);
  const auto data_config = data_of_model(options.data, stored.front());
  const auto data = data_config
                        ? std::optional(load_images_for(models.front()->config, paths.front(), *data_config))
                        : std::nullopt;
  Outcome outcome;
  if (options.dry_run) {
    auto& estimate = outcome.estimate.emplace();
    estimate.memory_bytes = peak_memory();
    estimate.seconds.reset();
    return outcome;
  }
  const auto& c = models.front()->config;
  std::optional<InputDistribution> gaussian;
  if (data)
    gaussian = fit_gaussian(to_inputs(data->train.images, c.pixel_mean, c.pixel_std, device, at::kDouble));
  const auto* images = data ? &data->test : nullptr;
  std::vector<ComparedModel> compared;
  for (const auto& model : models) compared.push_back(prepare_comparison(model, images));
  std::vector<Comparison> pairs;
  outcome.text = "                 same  other class  best wrong class  untrained\n";
  for (size_t i = 0; i < models.size(); ++i) {
    const auto untrained = prepare_comparison(untrained_like(models[i]), images);
    for (size_t j = i + 1; j < models.size(); ++j) {
      const ComparisonResult result{
          {paths[i].string(), paths[j].string()},
          compare(compared[i], compared[j], untrained, gaussian ? &*gaussian : nullptr),
          std::nullopt};
      outcome.results.push_back(result.record().write(result));
      outcome.text += comparison_in_words(result);
      pairs.push_back(*result.likeness);
    }
  }
  if (models.size() > 2) add_variation(paths, pairs, outcome);
  if (!data)
    outcome.text += "The weights alone: no --data, and no run beside " + paths.front().string() +
                    ". Give --data, for example --data mnist-5k, for data and outputs.\n";
  return outcome;
}

}  // namespace bilens
