#include "data_spec.h"

#include <sstream>

#include "bilens/records/config_files.h"
#include "bilens/run/config_file.h"
#include "bilens/train/data_files.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

std::vector<fs::path> files_of(const ImageDataConfig& config) { return image_files(config); }
std::vector<fs::path> files_of(const TextDataConfig& config) { return {config.path}; }

/// "tokens,dtype=uint32:FILE": the kind, settings and the path. @param allowed keys of the settings
template <class Config>
Config parse_spec(const std::string& spec, const std::vector<std::string>& allowed) {
  const auto colon = spec.find(':');
  std::istringstream parts(spec.substr(0, colon));
  std::string kind, part;
  std::getline(parts, kind, ',');
  Json settings = Json::object();
  while (std::getline(parts, part, ',')) apply_setting(settings, part, "--data");
  std::vector<Problem> problems;
  check_keys(settings, allowed, "--data", problems);
  if (!problems.empty()) throw Error(ExitCode::kUsage, problems);
  const auto& fields = Config::fields();
  Json object = {{fields.name_of(&Config::dataset), kind}};
  if (colon != std::string::npos) object[fields.name_of(&Config::path)] = spec.substr(colon + 1);
  object.update(settings);
  return fields.parse_or_throw(object, "--data", ExitCode::kUsage);
}

/// What the run that made the model was set to, if it had data, and its folder.
std::optional<std::pair<RunSettings, fs::path>> run_of_model(const StoredModel& model) {
  const fs::path folder = fs::weakly_canonical(fs::absolute(model.path()));  // of a link, what it leads to
  for (const fs::path& run : {folder.parent_path(), folder.parent_path().parent_path()}) {
    std::vector<Problem> foreign;  // of a config.json that is no run's
    const auto settings = RunSettings::record().read(model.json_at(run / "config.json"), "", foreign);
    if (foreign.empty() && settings.data) return std::pair(settings, run);
  }
  return std::nullopt;
}

/// The data of the run that made the model, as long as its files are those that the run read.
template <class Config>
std::optional<Config> config_of_run(const StoredModel& model) {
  const auto found = run_of_model(model);
  if (!found) return std::nullopt;
  const auto& [settings, run] = *found;
  const auto where = (run / "config.json").string() + ": data";
  const auto data = Config::fields().parse_or_throw(*settings.data, where, ExitCode::kBadInput);
  require_data_of_run(run / "checkpoints", files_of(data));
  return data;
}

}  // namespace

ImageDataConfig parse_data_spec(const std::string& spec) { return parse_spec<ImageDataConfig>(spec, {}); }

TextDataConfig parse_text_spec(const std::string& spec) {
  const bool tokens = spec.starts_with("tokens");
  auto config = parse_spec<TextDataConfig>(
      spec, tokens ? std::vector<std::string>{"split", "held_out", "dtype", "document_token"}
                   : std::vector<std::string>{"split", "keep_in"});
  if (config.path.empty()) {
    throw Error(ExitCode::kUsage, {"--data", set_name(config.dataset) + ":FILE", "\"" + spec + "\"",
                                   "Name the file after the colon."});
  }
  return config;
}

std::optional<ImageDataConfig> data_of_model(const std::string& spec, const StoredModel& model) {
  return spec.empty() ? config_of_run<ImageDataConfig>(model) : parse_data_spec(spec);
}

ImageDataset load_images_for(const ClassifierConfig& model, const fs::path& path,
                             const ImageDataConfig& config, uint64_t seed) {
  auto data = load_images(config, seed);
  if (data.height * data.width == model.d_input && data.classes <= model.d_output) return data;
  throw Error(ExitCode::kBadInput, {path.string(),
                                    "images of " + std::to_string(model.d_input) + " pixels in at most " +
                                        std::to_string(model.d_output) + " classes",
                                    std::to_string(data.height * data.width) + " pixels in " +
                                        std::to_string(data.classes) + " classes",
                                    "Give the data that the model was trained for."});
}

std::optional<TextDataConfig> text_of_model(const std::string& spec, const StoredModel& model) {
  return spec.empty() ? config_of_run<TextDataConfig>(model) : parse_text_spec(spec);
}

uint64_t seed_of_model(const StoredModel& model) {
  const auto found = run_of_model(model);
  const auto seed = found && found->first.train ? found->first.train->seed : std::nullopt;
  return static_cast<uint64_t>(seed.value_or(0));
}

Error no_data(const std::string& where, const std::string& wanted, const std::string& example) {
  return Error(ExitCode::kUsage, {where, wanted, "no --data, and no run beside the model",
                                  "Give --data, for example --data " + example + "."});
}

}  // namespace bilens
