#include "bilens/run/data_spec.h"

namespace bilens {

namespace fs = std::filesystem;

ImageDataConfig parse_data_spec(const std::string& spec) {
  const auto colon = spec.find(':');
  Json object = {{"dataset", spec.substr(0, colon)}};
  if (colon != std::string::npos) object["path"] = spec.substr(colon + 1);
  return ImageDataConfig::fields().parse_or_throw(object, "--data", ExitCode::kUsage);
}

std::optional<ImageDataConfig> data_of_model(const std::string& spec, const fs::path& model) {
  if (!spec.empty()) return parse_data_spec(spec);
  const fs::path folder = fs::absolute(model).lexically_normal();
  for (const fs::path& run : {folder.parent_path(), folder.parent_path().parent_path()}) {
    if (!fs::is_regular_file(run / "config.json")) continue;
    const Json config = read_json(run / "config.json", ExitCode::kBadInput);
    if (!config.is_object() || !config.contains("data")) continue;
    return ImageDataConfig::fields().parse_or_throw(
        config.at("data"), (run / "config.json").string() + ": data", ExitCode::kBadInput);
  }
  return std::nullopt;
}

}  // namespace bilens
