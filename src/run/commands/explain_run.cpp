#include "bilens/run/explain_run.h"

#include <ATen/ATen.h>

#include <cinttypes>
#include <filesystem>
#include <optional>

#include "bilens/core/files.h"
#include "bilens/core/locks.h"
#include "bilens/core/text.h"
#include "bilens/io/idx.h"
#include "bilens/model/model_directory.h"
#include "bilens/report/explanation_page.h"
#include "bilens/study/image_explanation.h"
#include "bilens/tensor/device.h"
#include "bilens/tensor/shape.h"
#include "decompose/decompose_estimate.h"
#include "decompose/decomposer.h"
#include "explanation_result.h"
#include "models/data_spec.h"
#include "models/model_arguments.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

struct Input {
  at::Tensor image;  // uint8 [height, width]
  std::optional<int64_t> label;
};

/// "test:7", "train:7" or "FILE:7".
Input read_input(const ExplainRunOptions& options, const StoredModel& model, const ClassifierConfig& config) {
  const auto colon = options.input.rfind(':');
  const std::string number = colon == std::string::npos ? "" : options.input.substr(colon + 1);
  if (number.empty() || number.size() > 9 || number.find_first_not_of("0123456789") != std::string::npos) {
    throw Error(ExitCode::kUsage,
                {"--input", "test:N, train:N or IDX_FILE:N", "\"" + options.input + "\"", ""});
  }
  const std::string where = options.input.substr(0, colon);
  const int64_t n = std::stoll(number);
  ImageSplit split;
  if (where == "test" || where == "train") {
    const auto data_config = data_of_model(options.data, model);
    if (!data_config) throw no_data("--input " + options.input, "images", "mnist-5k");
    const auto data = load_images_for(config, model.path(), *data_config);
    split = where == "test" ? data.test : data.train;
  } else {
    split.images = read_idx(where, 3);
  }
  if (n >= split.images.size(0)) {
    throw Error(ExitCode::kUsage, {"--input " + options.input,
                                   "a number below " + std::to_string(split.images.size(0)), number, ""});
  }
  const auto shape = config.image_shape;
  require_shape(split.images[n], shape, "--input " + options.input);
  Input input{split.images[n].contiguous(), {}};
  if (split.labels.defined()) input.label = split.labels[n].item<int64_t>();
  return input;
}

/// All eigenpairs, centred as `bilens decompose` has them, so that eigenvector i is the same one in both.
DecomposeRunConfig full_config(const DeviceChoice& device, int64_t classes) {
  DecomposeRunConfig config;
  config.k = std::nullopt;
  config.dtype = at::kDouble;
  config.centred = classes > 1;  // one class less its mean would be nothing
  config.energy = Energy::kOff;
  config.analyses.clear();
  config.device = device;
  return config;
}

/// The MLPs alone that reach the head linearly, so that nothing is counted twice: the residual path is a term
/// of its own.
LayerSource explained_layers(const StoredModel& model) {
  auto source = load_layers(model);
  std::erase_if(source.layers, [](const LazyLayer& layer) { return !layer.load().head.defined(); });
  for (auto& layer : source.layers) {
    layer.load = [load = layer.load] {
      auto loaded = load();
      loaded.layer.residual = false;
      return loaded;
    };
  }
  return source;
}

std::vector<LayerDecomposition> decompose_fully(const LayerSource& source, const DecomposeRunConfig& config) {
  std::vector<LayerDecomposition> layers;
  const Decomposer decomposer(source, config);
  for (const auto& layer : source.layers) layers.push_back(decomposer.solve(layer.load()));
  return layers;
}

/// What is explained.
ImageExplanationRecord describe(const ExplainRunOptions& options, const StoredModel& stored,
                                const ClassifierConfig& config, const Input& input,
                                const std::vector<LayerDecomposition>& layers) {
  ImageExplanationRecord about;
  about.model = stored.path().string();
  about.input = options.input;
  about.label = input.label;
  about.image_shape = config.image_shape;
  about.pixel_mean = config.pixel_mean;
  about.pixel_std = config.pixel_std;
  about.input_space = layers.front().input_space;
  about.center = layers.back().center;
  return about;
}

std::string in_words(const ImageExplanationRecord& explanation) {
  std::string text =
      "predicted " + std::to_string(explanation.prediction) +
      (explanation.label ? ", label " + std::to_string(*explanation.label) : "") + "\n" +
      "class    logit      sum   shared   direct   linear   largest contributions (layer/index: value)\n";
  for (const auto& e : explanation.classes) {
    text += format("%5" PRId64 " %8.3f %8.3f %8.3f %8.3f %8.3f  ", e.number, e.logit, e.sum, e.shared,
                   e.direct, e.linear);
    for (size_t i = 0; i < e.terms.size() && i < 4; ++i) {
      text += format(" %" PRId64 "/%" PRId64 ": %+.3f", e.terms[i].layer, e.terms[i].index,
                     e.terms[i].contribution);
    }
    text += "\n";
  }
  return text;
}

}  // namespace

Outcome run_explanation(const ExplainRunOptions& options) {
  if (options.input.empty()) {
    throw Error(
        ExitCode::kUsage,
        {"bilens explain", "--input IMAGE of an image classifier, or --prompt TEXT of a language model",
         "neither", ""});
  }
  if (!options.out.empty()) require_empty_directory(options.out, "Name another folder with --out.");
  const StoredModel stored(find_model(options.model));
  set_threads(options.threads);
  auto model = load_classifier(stored, at::kCPU);
  const auto input = read_input(options, stored, model->config);
  const auto source_layers = explained_layers(stored);
  const auto config = full_config(options.device, model->config.d_output);
  Outcome outcome;
  if (options.dry_run) {
    add_estimate(source_layers, config, "", outcome);
    outcome.estimate->disk_bytes = 1 << 20;
    return outcome;
  }
  const auto layers = decompose_fully(source_layers, config);
  const auto explanation = explain_image(model, layers, input.image);
  Explained<ImageExplanationRecord> result{
      record_of(explanation, describe(options, stored, model->config, input, layers)), {}};
  outcome.text = in_words(*result.explanation);
  if (!options.out.empty()) {
    const DirectoryLock lock(options.out);
    write_explanation(options.out, explanation, layers, *result.explanation);
    result.page = write_explanation_page(options.out).string();
    outcome.text += "\nThe same as a picture: " + *result.page + "\n";
  }
  outcome.results.push_back(result.record().write(result));
  return outcome;
}

}  // namespace bilens
