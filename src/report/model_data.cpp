#include "model_data.h"

#include "attack_data.h"
#include "bilens/io/weights.h"
#include "bilens/records/config_files.h"
#include "check_data.h"
#include "conversion_data.h"
#include "decomposition_data.h"
#include "metrics_data.h"
#include "study_data.h"

namespace bilens::report {

namespace fs = std::filesystem;

namespace {

Json read_if_there(const fs::path& file) {
  return fs::exists(file) ? read_json(file, ExitCode::kBadInput) : Json();
}

Json model_config(const fs::path& model) {
  const fs::path file = model / "config.json";
  Json json = read_json(file, ExitCode::kBadInput);
  read_record<ModelSettings>(json, file.string()).require_version(file.string());
  return json;
}

/// Number of weights in the model's files; null when only its config is there.
Json parameter_count(const fs::path& model) {
  if (!has_weights(model)) return nullptr;
  const Weights weights(model);
  int64_t count = 0;
  for (const auto& item : weights.tensors()) count += item.second.elements();
  return count;
}

std::string directory_of(const Source& source) {
  const auto& directory = !source.run.empty()     ? source.run
                          : !source.model.empty() ? source.model
                                                  : source.decomposition;
  return directory.string();
}

}  // namespace

Json model_data(const Source& source, const Detail& detail, ImagePool& images) {
  Json data = {{"name", source.name},
               {"directory", directory_of(source)},
               {"run", nullptr},
               {"metrics", nullptr},
               {"model", nullptr},
               {"parameters", nullptr},
               {"decomposition", nullptr},
               {"study", nullptr},
               {"conversion", nullptr},
               {"check", check_data(source)},
               {"attack", attack_data(source, images)}};
  if (!source.run.empty()) {
    data["run"] = {{"config", read_if_there(source.run / "config.json")},
                   {"environment", read_if_there(source.run / "env.json")}};
    const fs::path metrics = source.run / "metrics.jsonl";
    if (fs::exists(metrics)) data["metrics"] = metrics_data(metrics, detail.points);
    const fs::path account = source.run / "finetune.json";
    if (fs::exists(account)) data["conversion"] = conversion_data(account);
  }
  if (!source.model.empty()) {
    data["model"] = model_config(source.model);
    data["parameters"] = parameter_count(source.model);
  }
  if (!source.decomposition.empty()) {
    const auto study = read_image_study(source.decomposition);
    data["decomposition"] =
        decomposition_data(source.decomposition, study ? &*study : nullptr, detail, images);
    if (study) data["study"] = study_summary(*study);
  }
  return data;
}

}  // namespace bilens::report
