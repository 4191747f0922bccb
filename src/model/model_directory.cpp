#include "bilens/model/model_directory.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <set>

#include "bilens/core/files.h"
#include "bilens/io/foreign_folder.h"
#include "bilens/tensor/range.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr int kFormatVersion = 1;

Json read_model_json(const fs::path& directory) {
  if (!fs::is_directory(directory)) {
    throw Error(ExitCode::kBadInput, {directory.string(), "a model directory",
                                      fs::exists(directory) ? "a file" : "nothing there", "Check the path."});
  }
  if (!fs::exists(directory / "config.json")) {
    if (const auto foreign = describe_foreign_folder(directory)) throw Error(ExitCode::kBadInput, *foreign);
  }
  const Json json = read_json(directory / "config.json", ExitCode::kBadInput);
  if (!json.is_object() || !json.contains("model_type") || !json.at("model_type").is_string()) {
    throw Error(ExitCode::kBadInput,
                {(directory / "config.json").string(), "an object with a model_type", describe(json),
                 "`bilens convert` reads the formats of other programs."});
  }
  return json;
}

}  // namespace

std::string read_model_type(const fs::path& directory) {
  return read_model_json(directory).at("model_type").get<std::string>();
}

ClassifierConfig read_classifier_config(const fs::path& directory) {
  Json json = read_model_json(directory);
  const std::string where = (directory / "config.json").string();
  if (const auto type = json.at("model_type").get<std::string>(); type != "bilinear_mlp") {
    throw Error(ExitCode::kBadInput, {where + ": model_type", "\"bilinear_mlp\"", "\"" + type + "\"",
                                      "This command works on image classifiers."});
  }
  if (json.contains("format_version")) {
    if (json.at("format_version") != kFormatVersion) {
      throw Error(ExitCode::kBadInput,
                  {where + ": format_version", std::to_string(kFormatVersion),
                   json.at("format_version").dump(), "It was written by a newer bilens: update this one."});
    }
    json.erase("format_version");
  }
  auto config = ClassifierConfig::model_fields().parse_or_throw(json, where, ExitCode::kBadInput);
  std::vector<Problem> problems;
  config.check(where, problems);
  if (!problems.empty()) throw Error(ExitCode::kBadInput, problems);
  return config;
}

void check_classifier_tensors(const Weights& weights, const ClassifierConfig& config) {
  std::set<std::string> known;
  for (const auto& [name, shape] : config.parameter_shapes()) {
    known.insert(name);
    const std::string where = weights.path().string() + ": " + name;
    const auto found = weights.tensors().find(name);
    if (found == weights.tensors().end()) weights.tensor(name);  // throws, with a suggestion
    if (found->second.shape != shape) {
      throw Error(ExitCode::kBadInput, {where, "shape " + describe_shape(shape) + " by config.json",
                                        "shape " + describe_shape(found->second.shape), ""});
    }
  }
  for (const auto& [name, info] : weights.tensors()) {
    if (known.count(name) != 0) continue;
    throw Error(ExitCode::kBadInput, {weights.path().string(), "only the tensors of its config.json",
                                      "also " + name, "config.json and the weights do not belong together."});
  }
}

ImageClassifier load_classifier(const fs::path& directory, at::Device device) {
  const auto config = read_classifier_config(directory);
  const Weights weights(directory);
  check_classifier_tensors(weights, config);
  const at::NoGradGuard no_grad;
  ImageClassifier model(config);
  for (auto& item : model->named_parameters()) {
    const auto stored = weights.tensor(item.key());
    require_range(stored, item.value().scalar_type(), weights.path().string() + ": " + item.key());
    item.value().copy_(stored);
    require_finite(item.value(), weights.path().string() + ": " + item.key());
  }
  model->to(device);
  model->eval();
  return model;
}

void save_classifier(const fs::path& directory, const ImageClassifier& model) {
  NamedTensors tensors;
  for (const auto& item : model->named_parameters()) tensors.emplace_back(item.key(), item.value());
  write_safetensors(directory / "model.safetensors", tensors, {{"format", "pt"}});
  Json config = ClassifierConfig::model_fields().dump(model->config);
  config["format_version"] = kFormatVersion;
  write_text(directory / "config.json", format_json(config));
}

}  // namespace bilens
