#include "bilens/model/architecture.h"

#include <algorithm>
#include <cctype>

#include "bilens/model/family.h"
#include "bilens/model/image_classifier.h"
#include "bilens/model/layer_acts.h"

namespace bilens {

namespace {

/// The gate that an activation of transformers is; its own name where it is none of gate_names().
std::string gate_of_activation(const std::string& act) {
  for (const auto& [name, gate] : hidden_act_names())
    if (name == act) return gate_name(gate);
  return act;
}

std::string text_at(const Json& config, const char* key) {
  const Json value = config.value(key, Json());
  return value.is_string() ? value.get<std::string>() : "";
}

/// The gates of layers that differ, by the keys of a Hugging Face config. @return whether they do
bool read_layer_gates(Architecture& found, const std::string& key, const std::string& where) {
  std::vector<Problem> problems;
  const auto gates = read_layer_acts(found.config, key, std::nullopt, where, problems);
  if (!problems.empty()) throw Error(ExitCode::kBadInput, problems);
  if (!gates) return false;
  DecoderConfig config;
  config.set_gates(*gates);
  found.gate = gate_name(config.hidden_act);
  found.gate_source = std::string("config.json: ") + kLayerActs;
  found.layer_gates = config.layer_acts;
  return true;
}

/// The gate by the keys of a Hugging Face config.
/// @throws Error(kBadInput) where two keys name two gates
void read_activation(Architecture& found, const std::string& where) {
  const auto* family = family_of_type(found.type);
  const auto gate_at = [&](const char* key) {
    const Json value = found.config.value(key, Json());
    if (!value.is_null() && !value.is_string())
      throw Error(ExitCode::kBadInput,
                  {where + ": " + key, "the name of an activation", describe(value), ""});
    const auto act = text_at(found.config, key);
    return family != nullptr && family->gelu_is_tanh && act == "gelu" ? "gelu_tanh" : gate_of_activation(act);
  };
  const bool reads_activation =
      family != nullptr && family->act_key == "hidden_activation" && !family->act.empty();
  // A family that reads hidden_activation passes hidden_act over, as transformers does.
  const auto by_act = reads_activation ? "" : gate_at("hidden_act"),
             by_activation = gate_at("hidden_activation");
  if (!by_act.empty() && !by_activation.empty() && by_act != by_activation) {
    throw Error(ExitCode::kBadInput,
                {where, "one activation",
                 "hidden_act \"" + text_at(found.config, "hidden_act") + "\" and hidden_activation \"" +
                     text_at(found.config, "hidden_activation") + "\"",
                 "Remove the key that does not hold."});
  }
  const std::string key = by_activation.empty() ? "hidden_act" : "hidden_activation";
  const auto gate = by_activation.empty() ? by_act : by_activation;
  if (read_layer_gates(found, key, where)) return;
  if (!gate.empty()) {
    found.gate = gate;
    found.gate_source = "config.json: " + key + " \"" + text_at(found.config, key.c_str()) + "\"";
  } else if (family != nullptr && !family->act.empty()) {
    found.gate = gate_of_activation(family->act);
    found.gate_source = "config.json: model_type \"" + found.type + "\", whose " + family->act_key +
                        " is \"" + family->act + "\" by default";
  }
}

/// The gate by a config.json in a family's own keys.
std::optional<std::string> gate_of_own_keys(const StoredModel& model) {
  for (const auto* family : families()) {
    if (family->gate_of_config == nullptr) continue;
    if (auto gate = family->gate_of_config(model)) return gate;
  }
  return std::nullopt;
}

/// The gate by the config.json of an image classifier of ours.
std::string gate_of_classifier(const Json& config) {
  const Json* gate = ClassifierConfig::model_fields().find(config, &ClassifierConfig::gate);
  const bool given = gate != nullptr && gate->is_string() && !gate->get_ref<const std::string&>().empty();
  return given ? gate->get<std::string>() : gate_name(ClassifierConfig{}.gate);
}

void read_config(Architecture& found, const StoredModel& model) {
  const Json& config = model.json("config.json");
  if (!config.is_object()) return;
  const bool nested = family_of_type(text_at(config, "model_type")) == nullptr &&
                      config.contains("text_config") && config.at("text_config").is_object();
  found.config = nested ? config.at("text_config") : config;
  found.type = text_at(found.config, "model_type");
  if (!found.type.empty())
    found.type_source = std::string("config.json: ") + (nested ? "text_config." : "") + "model_type";
  if (found.type == ClassifierConfig{}.type) {
    found.gate = gate_of_classifier(found.config);
    found.gate_source = "config.json: gate";
  } else if (const auto gate = gate_of_own_keys(model)) {
    found.gate = *gate;
    found.gate_source = "config.json: gate";
  } else {
    read_activation(found, model.where("config.json"));
  }
}

}  // namespace

Architecture read_architecture(const StoredModel& model) {
  Architecture found;
  read_config(found, model);
  if (!found.gate.empty()) return found;
  for (const auto* family : families()) {
    if (family->describe == nullptr) continue;
    auto told = family->describe(model);
    if (!told) continue;
    if (!found.config.is_null()) told->config = found.config;
    return *told;
  }
  return found;
}

Architecture architecture_of_stack(const Architecture& model, const MlpNames& mlp) {
  for (const char* tower : {"vision", "visual", "audio"})
    if (mlp.gate.find(tower) != std::string::npos) return {};
  return model;
}

std::optional<MlpNorms> norms_of(const Architecture& architecture, const MlpNames& mlp) {
  if (mlp.family != nullptr) {
    auto norms = mlp.family->norms;
    if (norms) norms->source = "the names of the tensors";
    return norms;
  }
  const auto* family = family_of_type(architecture.type);
  if (family == nullptr || !family->norms) return std::nullopt;
  auto norms = *family->norms;
  norms.source = architecture.type_source + " \"" + architecture.type + "\"";
  if (family->refine_norms != nullptr) family->refine_norms(architecture.config, norms);
  return norms;
}

std::vector<std::string> norms_in_block(const Weights& weights, const MlpNames& mlp) {
  std::vector<std::string> found;
  for (const auto& [name, info] : weights.tensors()) {
    if (!name.starts_with(mlp.block) || info.shape.size() != 1) continue;
    std::string rest = name.substr(mlp.block.size());
    std::transform(rest.begin(), rest.end(), rest.begin(), [](unsigned char c) { return std::tolower(c); });
    const bool inside =
        rest.find("attn.") != std::string::npos || rest.find("attention.") != std::string::npos ||
        rest.find("layers.") != std::string::npos || rest.find("blocks.") != std::string::npos;
    const bool norm = rest.find("norm") != std::string::npos || rest.starts_with("ln");
    if (norm && !inside && !rest.ends_with("bias")) found.push_back(name);
  }
  return found;
}

}  // namespace bilens
