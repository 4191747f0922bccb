#include "bilens/run/config_file.h"

#include <ATen/Parallel.h>

#include <cstdlib>

#include "bilens/core/fields.h"
#include "bilens/core/processor_quota.h"
#include "bilens/core/version.h"
#include "bilens/tensor/device.h"

namespace bilens {

void apply_setting(Json& config, const std::string& text, const std::string& where) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw Error(ExitCode::kUsage,
                {where, where == "--set" ? "a.b=VALUE" : "KEY=VALUE", "\"" + text + "\"", ""});
  }
  const std::string path = text.substr(0, equals), value = text.substr(equals + 1);
  Json* target = &config;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t dot = std::min(path.find('.', begin), path.size());
    const std::string key = path.substr(begin, dot - begin);
    if (key.empty() || !(target->is_object() || target->is_null())) {
      throw Error(ExitCode::kUsage, {where + " " + path, "the path of a config key, such as train.epochs",
                                     key.empty() ? "an empty part" : "a value where an object would be", ""});
    }
    target = &(*target)[key];
    begin = dot + 1;
  }
  Json parsed = Json::parse(value, nullptr, /*allow_exceptions=*/false);
  *target = parsed.is_discarded() ? Json(value) : parsed;
}

Json load_config(const std::filesystem::path& file, const std::vector<std::string>& settings) {
  Json config = file.empty() ? Json::object() : read_json(file, ExitCode::kUsage);
  if (!config.is_object()) throw Error(ExitCode::kUsage, {file.string(), "an object", describe(config), ""});
  for (const auto& text : settings) apply_setting(config, text, "--set");
  return config;
}

std::string setting(const std::string& path, const Json& value) { return path + "=" + value.dump(); }

void require_same_settings(const Json& before, const std::filesystem::path& file, const Json& now) {
  std::vector<Problem> problems;
  const auto compare = [&](const std::string& where, const Json& was, const Json& is) {
    if (was == is) return;
    problems.push_back({where, was.dump() + ", as in " + file.string(), is.dump(),
                        "Resume with the same settings, or start anew with another --out."});
  };
  for (const auto& [section, is] : now.items()) {
    const Json was = before.value(section, Json());
    if (!was.is_object() || !is.is_object()) {
      compare(section, was, is);
      continue;
    }
    for (const auto& [key, value] : is.items())
      compare(key_path(section, key), was.value(key, Json()), value);
  }
  if (!problems.empty()) throw Error(ExitCode::kUsage, problems);
}

Environment describe_environment(const std::string& device) {
  const auto build = build_info();
  Environment environment;
  environment.version = build.version;
  environment.compiler = build.compiler;
  environment.build = build.build_type;
  environment.libtorch = build.torch;
  if (build.cuda) environment.cuda = build.cuda_toolkit;
  environment.device = device;
  environment.threads = at::get_num_threads();
  environment.processor_quota = processor_quota();
  if (const char* waiting = std::getenv("OMP_WAIT_POLICY")) environment.waiting = waiting;
  return environment;
}

}  // namespace bilens
