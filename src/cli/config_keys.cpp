#include "config_keys.h"

#include <algorithm>
#include <functional>
#include <map>

#include "bilens/run/attack_run.h"
#include "bilens/run/decompose_run.h"
#include "bilens/run/intervene_run.h"
#include "bilens/run/train_run.h"

namespace bilens {

namespace {

/// Calls `visit` with path and name of each key that holds a value. A config of one of several kinds has the
/// keys of all.
void each_key(const Json& schema, const std::string& above,
              const std::function<void(const std::string& path, const std::string& name)>& visit) {
  if (above.empty() && schema.contains("anyOf")) {
    for (const auto& kind : schema.at("anyOf")) each_key(kind, above, visit);
    return;
  }
  for (const auto& [name, about] : schema.at("properties").items()) {
    if (about.contains("properties")) {
      each_key(about, above + name + ".", visit);
    } else {
      visit(above + name, name);
    }
  }
}

void add_once(std::vector<std::string>& list, const std::string& text) {
  if (std::find(list.begin(), list.end(), text) == list.end()) list.push_back(text);
}

}  // namespace

Json config_schema(const std::string& command) {
  const std::map<std::string, std::function<Json()>> schemas = {
      {"train", train_config_schema},
      {"finetune", finetune_config_schema},
      {"decompose", decompose_config_schema},
      {"intervene", [] { return InterveneRunConfig::fields().schema(); }},
      {"attack", [] { return AttackRunConfig::fields().schema(); }}};
  const auto found = schemas.find(command);
  if (found != schemas.end()) return found->second();
  throw Error(ExitCode::kUsage,
              {"bilens schema",
               "a command that has a config (train, finetune, decompose, intervene, attack), or files",
               "\"" + command + "\"", ""});
}

std::vector<std::string> keys_named(const Json& schema, const std::string& name) {
  std::string wanted = name;
  std::replace(wanted.begin(), wanted.end(), '-', '_');
  std::vector<std::string> paths;
  each_key(schema, "", [&](const std::string& path, const std::string& key) {
    if (key == wanted || path == wanted) add_once(paths, path);
  });
  return paths;
}

std::vector<std::string> key_paths(const Json& schema) {
  std::vector<std::string> paths;
  each_key(schema, "", [&](const std::string& path, const std::string&) { add_once(paths, path); });
  return paths;
}

std::vector<std::string> key_names(const Json& schema) {
  std::vector<std::string> names;
  each_key(schema, "", [&](const std::string&, const std::string& key) { add_once(names, key); });
  return names;
}

}  // namespace bilens
