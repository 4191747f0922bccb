#include "bilens/model/model_directory.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "bilens/core/files.h"
#include "bilens/io/weights.h"
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
  const Json json = read_json(directory / "config.json", ExitCode::kBadInput);
  if (!json.is_object() || !json.contains("model_type") || !json.at("model_type").is_string()) {
    throw Error(ExitCode::kBadInput,
                {(directory / "config.json").string(), "an object with a model_type", describe(json), ""});
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

ImageClassifier load_classifier(const fs::path& directory, at::Device device) {
  const auto config = read_classifier_config(directory);
  const Weights weights(directory);
  // Shapes are compared before the module is built: a config that claims giant sizes must not make us
  // allocate them.
  const auto embed = weights.tensor("embed.weight");
  require_shape(embed, {config.d_model, config.d_input}, weights.path().string() + ": embed.weight");

  const at::NoGradGuard no_grad;
  ImageClassifier model(config);
  std::vector<std::string> known;
  for (auto& item : model->named_parameters()) {
    const auto stored = weights.tensor(item.key());
    require_shape(stored, item.value().sizes(), weights.path().string() + ": " + item.key());
    item.value().copy_(stored);
    known.push_back(item.key());
  }
  for (const auto& [name, info] : weights.tensors()) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      throw Error(ExitCode::kBadInput,
                  {weights.path().string(), "only the tensors of its config.json", "also " + name,
                   "config.json and the weights do not belong together."});
    }
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
