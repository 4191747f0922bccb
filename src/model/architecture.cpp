#include "bilens/model/architecture.h"

#include <algorithm>
#include <cctype>

#include "bilens/model/image_classifier.h"
#include "bilens/model/paper_config.h"

namespace bilens {

namespace {

using Kind = MlpNorms::Kind;
using Convention = MlpConvention;

constexpr const char* kPostAttention = "post_attention_layernorm";
constexpr const char* kPreFeedforward = "pre_feedforward_layernorm";
constexpr const char* kPostFeedforward = "post_feedforward_layernorm";

/// Hugging Face's model types (the code of transformers 5): the norms around the MLP, the config key of its
/// activation, and that key's default.
struct TypeRow {
  std::vector<const char*> types;
  MlpNorms norms;
  const char* act_key;
  const char* act;
};

const std::vector<TypeRow>& type_rows() {
  static const std::vector<TypeRow> rows = {
      {{"llama", "mistral", "qwen2", "qwen3", "smollm3", "phi3"},
       {Kind::kRms, kPostAttention, false, false, "", ""},
       "hidden_act",
       "silu"},
      {{"gemma"}, {Kind::kRms, kPostAttention, true, false, "", ""}, "hidden_act", "gelu_pytorch_tanh"},
      {{"gemma2", "gemma3_text"},
       {Kind::kRms, kPreFeedforward, true, false, kPostFeedforward, ""},
       "hidden_activation",
       "gelu_pytorch_tanh"},
      {{"olmo2", "olmo3"}, {Kind::kNone, "", false, false, kPostFeedforward, ""}, "hidden_act", "silu"},
      {{"stablelm"}, {Kind::kLayer, kPostAttention, false, false, "", ""}, "hidden_act", "silu"},
  };
  return rows;
}

/// Conventions of names that belong to one code each.
const std::vector<std::pair<Convention, MlpNorms>>& convention_rows() {
  static const std::vector<std::pair<Convention, MlpNorms>> rows = {
      {Convention::kMeta, {Kind::kRms, "ffn_norm", false, false, "", ""}},
      {Convention::kLitGpt, {Kind::kRms, "norm_2", false, false, "", ""}},
      {Convention::kPapers, {Kind::kRms, "n2.norm", false, /*optional=*/true, "", ""}},
  };
  return rows;
}

const TypeRow* row_of(const std::string& type) {
  for (const auto& row : type_rows()) {
    if (std::find(row.types.begin(), row.types.end(), type) != row.types.end()) return &row;
  }
  return nullptr;
}

/// The gate that an activation of transformers is; its own name where it is none of gate_words().
std::string gate_of_activation(const std::string& act) {
  static const std::vector<std::pair<std::string, std::string>> names = {
      {"linear", "none"},        {"silu", "silu"},           {"swish", "silu"},
      {"gelu", "gelu"},          {"gelu_python", "gelu"},    {"gelu_pytorch_tanh", "gelu_tanh"},
      {"gelu_new", "gelu_tanh"}, {"gelu_fast", "gelu_tanh"}, {"gelu_python_tanh", "gelu_tanh"},
      {"relu", "relu"}};
  for (const auto& [name, gate] : names)
    if (name == act) return gate;
  return act;
}

std::string text_at(const Json& config, const char* key) {
  const Json value = config.value(key, Json());
  return value.is_string() ? value.get<std::string>() : "";
}

/// The gate by the keys of a Hugging Face config. Gemma's old "gelu" means its approximation by tanh.
/// @throws Error(kBadInput) where two keys name two gates
void read_activation(Architecture& found, const std::string& where) {
  const bool gemma = found.type.starts_with("gemma");
  const auto gate_at = [&](const char* key) {
    const Json value = found.config.value(key, Json());
    if (!value.is_null() && !value.is_string())
      throw Error(ExitCode::kBadInput,
                  {where + ": " + key, "the name of an activation", describe(value), ""});
    const auto act = text_at(found.config, key);
    return gemma && act == "gelu" ? "gelu_tanh" : gate_of_activation(act);
  };
  const auto by_act = gate_at("hidden_act"), by_activation = gate_at("hidden_activation");
  const auto* row = row_of(found.type);
  if (!by_act.empty() && !by_activation.empty() && by_act != by_activation) {
    throw Error(ExitCode::kBadInput,
                {where, "one activation",
                 "hidden_act \"" + text_at(found.config, "hidden_act") + "\" and hidden_activation \"" +
                     text_at(found.config, "hidden_activation") + "\"",
                 "Remove the key that does not hold."});
  }
  const std::string key = by_activation.empty() ? "hidden_act" : "hidden_activation";
  const auto gate = by_activation.empty() ? by_act : by_activation;
  if (row != nullptr && std::string(row->act_key) == "hidden_activation" && by_activation.empty() &&
      !by_act.empty() && by_act != gate_of_activation(row->act)) {
    throw Error(ExitCode::kBadInput,
                {where, std::string("hidden_activation, which ") + found.type + " reads",
                 "hidden_act alone, \"" + text_at(found.config, "hidden_act") + "\"",
                 "transformers passes hidden_act over: name the activation in hidden_activation."});
  }
  if (!gate.empty()) {
    found.gate = gate;
    found.gate_source = "config.json: " + key + " \"" + text_at(found.config, key.c_str()) + "\"";
  } else if (row != nullptr) {
    found.gate = gate_of_activation(row->act);
    found.gate_source = "config.json: model_type \"" + found.type + "\", whose " + row->act_key + " is \"" +
                        row->act + "\" by default";
  }
}

bool is_of_the_papers(const Json& config) {
  return config.contains("d_hidden") && config.contains("n_layer");
}

void read_config(Architecture& found, const StoredModel& model) {
  const Json& config = model.json("config.json");
  if (!config.is_object()) return;
  const bool nested = row_of(text_at(config, "model_type")) == nullptr && config.contains("text_config") &&
                      config.at("text_config").is_object();
  found.config = nested ? config.at("text_config") : config;
  found.type = text_at(found.config, "model_type");
  if (!found.type.empty())
    found.type_source = std::string("config.json: ") + (nested ? "text_config." : "") + "model_type";
  if (found.type == "bilinear_mlp") {
    found.gate = text_at(found.config, "gate");
    if (found.gate.empty()) found.gate = gate_name(ClassifierConfig{}.gate);
    found.gate_source = "config.json: gate";
  } else if (is_of_the_papers(config)) {
    found.gate = gate_name(PaperConfig::of(model).gate());
    found.gate_source = "config.json: gate";
  } else {
    read_activation(found, model.where("config.json"));
  }
}

/// A description that only Llamas have: Meta's params.json, or the arguments of llama2.c's training.
bool is_of_a_llama(const Json& arguments) {
  return arguments.is_object() && arguments.contains("dim") && arguments.contains("n_layers");
}

/// Hidden units of a Llama by Meta's rule: two thirds of 4 dim, times a factor, rounded up to a multiple.
int64_t hidden_units(const Json& arguments) {
  if (arguments.contains("hidden_dim") && arguments.at("hidden_dim").is_number_integer())
    return arguments.at("hidden_dim");
  const Json multiple = arguments.value("multiple_of", Json());
  if (!multiple.is_number_integer() || multiple < 1 || !arguments.at("dim").is_number_integer()) return 0;
  int64_t hidden = 2 * (4 * arguments.at("dim").get<int64_t>()) / 3;
  const Json factor = arguments.value("ffn_dim_multiplier", Json());
  if (factor.is_number()) hidden = static_cast<int64_t>(factor.get<double>() * static_cast<double>(hidden));
  const auto unit = multiple.get<int64_t>();
  return unit * ((hidden + unit - 1) / unit);
}

void be_llama(Architecture& found, const Json& arguments, const std::string& source) {
  found.type = "llama";
  found.gate = "silu";
  found.type_source = found.gate_source = source;
  if (!found.config.is_null()) return;
  found.config = {{"hidden_size", arguments.at("dim")}};
  if (const auto hidden = hidden_units(arguments); hidden > 0) found.config["intermediate_size"] = hidden;
}

}  // namespace

const std::vector<std::string>& gate_words() {
  static const std::vector<std::string> words = {"none", "silu", "gelu", "gelu_tanh", "relu"};
  return words;
}

Architecture read_architecture(const StoredModel& model) {
  Architecture found;
  read_config(found, model);
  if (!found.gate.empty()) return found;
  const auto& weights = model.weights();
  if (const Json& params = model.json("params.json"); !params.is_null()) {
    if (is_of_a_llama(params)) be_llama(found, params, "params.json");
  } else if (is_of_a_llama(weights.model_args())) {
    be_llama(found, weights.model_args(), "the checkpoint's model_args");
  } else if (weights.llama2c()) {
    be_llama(found, {{"dim", weights.llama2c()->dim}}, "the header of llama2.c");
  }
  return found;
}

Architecture architecture_of_stack(const Architecture& model, const MlpNames& mlp) {
  for (const char* tower : {"vision", "visual", "audio"})
    if (mlp.gate.find(tower) != std::string::npos) return {};
  return model;
}

std::string gate_by_names(MlpConvention convention) {
  return convention == Convention::kMeta || convention == Convention::kLitGpt ? "silu" : "";
}

std::optional<MlpNorms> norms_of(const Architecture& architecture, MlpConvention convention) {
  for (const auto& [known, norms] : convention_rows()) {
    if (known != convention) continue;
    auto found = norms;
    found.source = "the names of the tensors";
    return found;
  }
  const auto* row = row_of(architecture.type);
  if (row == nullptr) return std::nullopt;
  auto norms = row->norms;
  norms.source = architecture.type_source + " \"" + architecture.type + "\"";
  // Attention and MLP read the same normed stream.
  if (architecture.type == "stablelm" && architecture.config.value("use_parallel_residual", Json()) == true)
    norms.before = "input_layernorm";
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
