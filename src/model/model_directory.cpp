#include "bilens/model/model_directory.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <set>

#include "bilens/core/files.h"
#include "bilens/io/foreign_folder.h"
#include "bilens/records/config_files.h"
#include "bilens/tensor/random.h"
#include "bilens/tensor/range.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

/// The config.json of a classifier's directory.
struct ClassifierFile : ClassifierConfig {
  int64_t format_version = ModelSettings::kVersion;

  static const FieldTable<ClassifierFile>& fields();
};

const FieldTable<ClassifierFile>& ClassifierFile::fields() {
  static const auto table =
      FieldTable<ClassifierFile>(model_fields().meaning())
          .all_of(model_fields())
          .integer("format_version", &ClassifierFile::format_version, "Version of this file's format.",
                   between(ModelSettings::kVersion, ModelSettings::kVersion));
  return table;
}

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
  return json;
}

/// The model_type of a config.json. @throws Error(kBadInput) where it has none
std::string type_of_model(const Json& json, const std::string& where) {
  std::vector<Problem> others;  // of keys that somebody else reads
  const auto type = ModelSettings::record().read(json, "", others).model_type;
  if (type && !type->empty()) return *type;
  throw Error(ExitCode::kBadInput, {where, "an object with a model_type", describe(json),
                                    "`bilens convert` reads the formats of other programs."});
}

}  // namespace

std::string read_model_type(const StoredModel& model) {
  return type_of_model(read_model_json(model), model.where("config.json"));
}

ClassifierConfig read_classifier_config(const StoredModel& model) {
  const Json& json = read_model_json(model);
  const std::string where = model.where("config.json");
  const auto own = ClassifierConfig{}.type;
  if (const auto type = type_of_model(json, where); type != own) {
    throw Error(ExitCode::kBadInput,
                {where + ": " + ClassifierFile::fields().name_of(&ClassifierFile::type), "\"" + own + "\"",
                 "\"" + type + "\"", "This command works on image classifiers."});
  }
  read_record<ModelSettings>(json, where).require_version(where);
  const ClassifierConfig config = ClassifierFile::fields().parse_or_throw(json, where, ExitCode::kBadInput);
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
  const ClassifierFile file{model->config};
  write_text(directory / "config.json", format_json(ClassifierFile::fields().dump(file)));
}

}  // namespace bilens
