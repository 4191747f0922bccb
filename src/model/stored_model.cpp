#include "bilens/model/stored_model.h"

#include <map>
#include <optional>

#include "bilens/model/family.h"

namespace bilens {

namespace fs = std::filesystem;

struct StoredModel::Opened {
  std::optional<Weights> weights;
  std::map<fs::path, Json> files;
};

namespace {

/// Refuses a checkpoint whose tensors are codes, with scales beside them: its numbers are not the model's
/// weights. @throws Error(kBadInput)
void require_plain_numbers(const Json& config, const std::string& where) {
  if (!config.is_object()) return;
  const Json text = config.value("text_config", Json());
  for (const Json* of : {&config, &text}) {
    const Json found = of->is_object() ? of->value("quantization_config", Json()) : Json();
    if (found.is_null()) continue;
    const Json method = found.is_object() ? found.value("quant_method", Json()) : Json();
    throw Error(
        ExitCode::kBadInput,
        {where + ": quantization_config", "none: weights that are the model's numbers",
         method.is_string() ? "\"" + method.get<std::string>() + "\"" : describe(found),
         "Load it in transformers, call model.dequantize(), and save it by save_pretrained; or take the "
         "checkpoint that it was made from."});
  }
}

}  // namespace

StoredModel::StoredModel(fs::path path) : path_(std::move(path)), opened_(std::make_shared<Opened>()) {
  folder_ = fs::is_directory(path_) ? path_ : path_.has_parent_path() ? path_.parent_path() : fs::path(".");
}

StoredModel::StoredModel(const std::string& name, const NamedTensors& tensors, Json config)
    : path_(name), folder_(name), in_memory_(true), opened_(std::make_shared<Opened>()) {
  opened_->weights.emplace(name, tensors);
  require_plain_numbers(config, where("config.json"));
  if (!config.is_null()) opened_->files[where("config.json")] = std::move(config);
}

bool StoredModel::is_directory() const {
  return in_memory_ ? !json("config.json").is_null() : fs::is_directory(path_);
}

const Weights& StoredModel::weights() const {
  if (!opened_->weights && !translate()) {
    const Json& config = json("config.json");
    require_plain_numbers(config, where("config.json"));
    opened_->weights = Weights::with_neighbours(path_);
    const Json type = config.is_object() ? config.value("model_type", Json()) : Json();
    const auto* part = type.is_string() ? text_part_of(type.get<std::string>()) : nullptr;
    if (part != nullptr) opened_->weights->rename(part->prefixes);
  }
  return *opened_->weights;
}

bool StoredModel::translate() const {
  const auto* family = in_memory_ ? nullptr : family_of_folder(path_);
  if (family == nullptr) return false;
  const auto found = family->read_decoder(*this).value();
  opened_->weights.emplace(path_, found.sources, found.parameters);
  opened_->files[where("config.json")] = decoder_config_json(found.config);
  return true;
}

fs::path StoredModel::file(const std::string& name) const {
  const auto path = folder_ / name;
  return !in_memory_ && fs::is_regular_file(path) ? path : fs::path();
}

const Json& StoredModel::json(const std::string& name) const {
  if (name == "config.json" && !in_memory_ && folder_ == path_ && opened_->files.count(where(name)) == 0)
    translate();
  return json_at(folder_ / name);
}

const Json& StoredModel::json_at(const fs::path& file) const {
  const auto known = opened_->files.find(file);
  if (known != opened_->files.end()) return known->second;
  const bool there = !in_memory_ && fs::is_regular_file(file);
  return opened_->files[file] = there ? read_json(file, ExitCode::kBadInput) : Json();
}

StoredModel StoredModel::directory() const {
  StoredModel whole(folder_);
  whole.opened_->files = opened_->files;
  return whole;
}

}  // namespace bilens
