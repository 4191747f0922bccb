#include "paper_config.h"

namespace bilens {

namespace {

bool is_given(const Json& keys, const std::string& key) { return keys.contains(key) && !keys[key].is_null(); }

}  // namespace

bool has_own_keys(const Json& config) {
  return config.is_object() && config.contains("d_hidden") && config.contains("n_layer");
}

PaperConfig PaperConfig::of(const StoredModel& model) {
  PaperConfig config{model.where("config.json")};
  const Json& keys = model.json("config.json");
  const bool theirs = has_own_keys(keys);
  if (keys.is_null() || !(theirs || model.is_directory())) return config;
  if (!keys.is_object()) throw Error(ExitCode::kBadInput, {config.where, "an object", describe(keys), ""});
  config.keys = keys;
  return config;
}

bool PaperConfig::flag(const std::string& key, bool otherwise) const {
  if (!is_given(keys, key)) return otherwise;
  if (!keys[key].is_boolean())
    throw Error(ExitCode::kBadInput, {where + ": " + key, "true or false", describe(keys[key]), ""});
  return keys[key].get<bool>();
}

int64_t PaperConfig::size(const std::string& key) const {
  if (!is_given(keys, key))
    throw Error(ExitCode::kBadInput, {where + ": " + key, "a value", "none", "The weights do not tell it."});
  if (!keys[key].is_number_integer() || keys[key] < 1)
    throw Error(ExitCode::kBadInput, {where + ": " + key, "a positive integer", keys[key].dump(), ""});
  return keys[key].get<int64_t>();
}

void PaperConfig::require(const std::string& key, const Json& by_weights) const {
  if (!is_given(keys, key) || keys[key] == by_weights) return;
  throw Error(ExitCode::kBadInput, {where + ": " + key, by_weights.dump() + ", as the weights have it",
                                    keys[key].dump(), "config.json and the weights do not belong together."});
}

void PaperConfig::refuse(const std::string& key, const std::string& reason) const {
  if (!is_given(keys, key)) return;
  const Json& value = keys[key];
  if (value == false || value == 0 || value == Json("")) return;
  throw Error(ExitCode::kBadInput, {where + ": " + key, "null or false", value.dump(), reason});
}

Gate PaperConfig::gate() const {
  if (!flag("bilinear", true)) {
    throw Error(ExitCode::kBadInput,
                {where + ": bilinear", "true", "false", "An MLP of one factor is no gated MLP."});
  }
  if (!is_given(keys, "gate") || keys["gate"] == false) return Gate::kNone;
  if (keys["gate"] == true) return Gate::kRelu;
  for (const auto& [name, gate] : gate_names()) {
    if (keys["gate"] == name) return gate;
  }
  throw Error(ExitCode::kBadInput,
              {where + ": gate", "null, \"relu\", \"silu\" or \"gelu\"", keys["gate"].dump(), ""});
}

}  // namespace bilens
