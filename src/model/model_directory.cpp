#include "bilens/model/model_directory.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <set>

#include "bilens/core/files.h"
#include "bilens/io/foreign_folder.h"
#include "bilens/tensor/random.h"
#include "bilens/tensor/range.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr int kFormatVersion = 1;

const Json& read_model_json(const StoredModel& model) {
  if (!model.is_directory()) {
    throw Error(ExitCode::kBadInput,
                {model.path().string(), "a model directory",
                 fs::exists(model.path()) ? "a file" : "nothing there", "Check the path."});
  }
  const Json& json = model.json("config.json");
  if (json.is_null()) {
    if (const auto foreign = describe_foreign_folder(model.path()))
      throw Error(ExitCode::kBadInput, *foreign);
    read_json(model.where("config.json"), ExitCode::kBadInput);  // says that it is missing
  }
  if (!json.is_object() || !json.contains("model_type") || !json.at("model_type").is_string()) {
    throw Error(ExitCode::kBadInput,
                {model.where("config.json"), "an object with a model_type", describe(json),
                 "`bilens convert` reads the formats of other programs."});
  }
  return json;
}

}  // namespace

std::string read_model_type(const StoredModel& model) {
  return read_model_json(model).at("model_type").get<std::string>();
}

ClassifierConfig read_classifier_config(const StoredModel& model) {
  Json json = read_model_json(model);
  const std::string where = model.where("config.json");
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

ImageClassifier load_classifier(const StoredModel& stored, at::Device device) {
  const auto config = read_classifier_config(stored);
  const auto& weights = stored.weights();
  check_classifier_tensors(weights, config);
  const at::NoGradGuard no_grad;
  auto model = [&] {
    const SeedScope unused(0);  // of weights that are replaced
    return ImageClassifier(config);
  }();
  for (auto& item : model->named_parameters()) {
    const auto tensor = weights.tensor(item.key());
    require_range(tensor, item.value().scalar_type(), weights.path().string() + ": " + item.key());
    item.value().copy_(tensor);
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
