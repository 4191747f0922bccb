#include "bilens/run/layer_source.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/core/log.h"
#include "bilens/io/weight_names.h"
#include "bilens/model/llama_config.h"
#include "bilens/model/model_directory.h"
#include "bilens/model/paper_classifier.h"
#include "bilens/model/paper_config.h"
#include "bilens/model/paper_transformer.h"
#include "bilens/run/conversion.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

Error not_bilinear(const fs::path& path, const std::string& gate, const std::string& instead) {
  return Error(ExitCode::kBadInput,
               {path.string(), "a bilinear gate (\"none\" or hidden_act \"linear\")", "\"" + gate + "\"",
                "Only bilinear layers have interaction matrices: " + instead});
}

at::Tensor optional_tensor(const Weights& weights, const std::string& expression) {
  return expression.empty() ? at::Tensor() : read_expression(weights, expression);
}

BilinearLayer read_layer(const Weights& weights, const MlpNames& names, bool fold_norm) {
  BilinearLayer layer;
  layer.gate = read_expression(weights, names.gate);
  layer.up = read_expression(weights, names.up);
  layer.down = optional_tensor(weights, names.down);
  layer.gate_bias = optional_tensor(weights, names.gate_bias);
  layer.up_bias = optional_tensor(weights, names.up_bias);
  layer.down_bias = optional_tensor(weights, names.down_bias);
  if (fold_norm && !names.norm.empty()) {
    const auto gain = weights.tensor(names.norm);
    require_shape(gain, {layer.gate.size(1)}, weights.path().string() + ": " + names.norm);
    layer.gate = layer.gate.to(at::kFloat) * gain.to(at::kFloat);
    layer.up = layer.up.to(at::kFloat) * gain.to(at::kFloat);
  }
  return layer;
}

std::vector<SourceLayer> classifier_layers(const Weights& weights, const ClassifierConfig& config) {
  std::vector<SourceLayer> layers;
  const auto embed = weights.tensor("embed.weight"), head = weights.tensor("head.weight");
  require_shape(embed, {config.d_model, config.d_input}, weights.path().string() + ": embed.weight");
  require_shape(head, {config.d_output, config.d_model}, weights.path().string() + ": head.weight");
  for (const auto& names : find_mlps(weights)) {
    SourceLayer source{names.layer, read_layer(weights, names, false), {}, {}};
    source.layer.residual = config.residual;
    require_shape(source.layer.gate, {config.d_hidden, config.d_model},
                  weights.path().string() + ": " + names.gate);
    if (names.layer == 0) source.embed = embed;
    if (config.residual || names.layer + 1 == config.n_layers) source.head = head;
    layers.push_back(source);
  }
  if (static_cast<int64_t>(layers.size()) != config.n_layers) {
    throw Error(ExitCode::kBadInput,
                {weights.path().string(), std::to_string(config.n_layers) + " layers, as config.json says",
                 std::to_string(layers.size()), "config.json and the weights do not belong together."});
  }
  return layers;
}

/// The layers of a classifier under the papers' names, with what its own format has by config.json.
std::vector<SourceLayer> paper_layers(const Weights& weights, const PaperClassifier& found) {
  const auto& config = found.config;
  if (config.gate != Gate::kNone)
    throw not_bilinear(weights.path(), gate_name(config.gate), "decompose a model without a gate.");
  std::vector<SourceLayer> layers;
  for (const auto& names : found.mlps) {
    SourceLayer source{names.layer, read_layer(weights, names, false), {}, {}};
    source.layer.residual = config.residual;
    if (names.layer == 0) source.embed = weights.tensor(found.ends.embed);
    if (config.residual || names.layer + 1 == config.n_layers) source.head = weights.tensor(found.ends.head);
    require_shape(source.layer.gate, {config.d_hidden, config.d_model},
                  weights.path().string() + ": " + names.gate);
    if (source.head.defined())
      require_shape(source.head, {-1, source.layer.d_out()},
                    weights.path().string() + ": " + found.ends.head);
    layers.push_back(source);
  }
  return layers;
}

MlpNames mapped(const WeightMap& map) {
  if (map.gate.empty() || map.up.empty()) {
    throw Error(ExitCode::kUsage,
                {"weights", "at least gate and up", map.gate.empty() ? "no gate" : "no up", ""});
  }
  if (map.gate == map.up) {
    throw Error(ExitCode::kUsage,
                {"weights", "different matrices for gate and up", "\"" + map.gate + "\" twice",
                 "A packed tensor is cut by rows: \"NAME[0:512]\" and \"NAME[512:1024]\"."});
  }
  MlpNames names;
  names.gate = map.gate;
  names.up = map.up;
  names.down = map.down;
  return names;
}

/// The hidden_act of a model in the Hugging Face layout or llama2.c's; "" where nothing says what it is.
std::string activation_of(const fs::path& path, const Weights& weights) {
  if (weights.llama2c()) return "silu";
  const fs::path file = path / "config.json";
  if (!fs::is_regular_file(file)) return "";
  const Json config = read_json(file, ExitCode::kBadInput);
  if (!config.is_object()) return "";
  const Json act = config.value("hidden_act", Json());
  if (act.is_string()) return act.get<std::string>();
  return config.value("model_type", Json()) == "llama" ? "silu" : "";  // transformers' default
}

/// Puts the bilinear part in the place of gated layers, notes what is to stand there, or refuses them.
void stand_in(LayerSource& source, const Weights& weights, const LayerSourceConfig& config) {
  const auto activation = config.weights.given() ? "" : activation_of(source.path, weights);
  if (activation == "linear") return;
  const auto& known = hidden_act_names();
  const bool has_half = activation.empty() || std::any_of(known.begin(), known.end(), [&](const auto& item) {
                          return item.first == activation;
                        });
  const Json act = activation.empty() ? Json(nullptr) : Json(activation);
  if (config.surrogate == Surrogate::kCalibrated && has_half) {
    source.surrogate = {
        {"kind", "calibrated"},
        {"hidden_act", act},
        {"meaning",
         "A bilinear layer near to a gated one on text, P((a(Wx) + b) ⊙ Vx), not the layer: each "
         "unit's activation is replaced by a line."}};
  } else if (config.surrogate == Surrogate::kHalf && has_half) {
    for (auto& [number, layer, embed, head] : source.layers) {
      layer.gate = layer.gate * 0.5;
      if (layer.gate_bias.defined()) layer.gate_bias = layer.gate_bias * 0.5;
    }
    source.surrogate = {{"kind", "half"},
                        {"hidden_act", act},
                        {"meaning",
                         "The bilinear part of a gated layer, P(½Wx ⊙ Vx), not the layer: the rest of the "
                         "activation, even in Wx, is left out."}};
  } else if (!activation.empty()) {
    throw not_bilinear(source.path, activation,
                       has_half
                           ? "convert the model first, or set surrogate to \"half\" or \"calibrated\" to "
                             "decompose a bilinear layer near to each of its own."
                           : "convert the model first.");
  } else {
    log_info(source.path.string() + ": nothing says what the gate is; it is taken to be bilinear");
  }
}

/// The gate of a language model under the papers' names, by its config.json; a learned one has tensors of its
/// own.
void refuse_gated(const Weights& weights, const PaperConfig& config) {
  const std::string instead = "decompose a model without a gate.";
  for (const auto& [name, info] : weights.tensors()) {
    if (name.find(".mlp.w.gate.") != std::string::npos) throw not_bilinear(weights.path(), name, instead);
  }
  if (config.keys.empty())
    log_info(weights.path().string() + ": no config.json says what the gate is; it is taken to be bilinear");
  if (const Gate gate = config.gate(); gate != Gate::kNone)
    throw not_bilinear(weights.path(), gate_name(gate), instead);
}

}  // namespace

const FieldTable<WeightMap>& WeightMap::fields() {
  using C = WeightMap;
  static const FieldTable<C> table =
      FieldTable<C>(
          "Tensors of one layer under foreign names; a name may slice rows and transpose: \"w[0:512].T\".")
          .text("gate", &C::gate, "W [d_hidden, d_in].")
          .text("up", &C::up, "V [d_hidden, d_in].")
          .text("down", &C::down, "P [d_out, d_hidden]; empty: the identity.");
  return table;
}

LayerSource load_layers(const fs::path& path, const LayerSourceConfig& config) {
  const auto& map = config.weights;
  const bool fold_norm = config.fold_norm;
  const Weights weights(path);
  LayerSource source;
  source.path = path;
  source.sha256 = weights.sha256();
  source.conversion = read_conversion(path);
  const bool has_config = fs::is_regular_file(path / "config.json");
  bool may_be_gated = false;  // what is known to be bilinear needs nothing in its place
  if (map.given()) {
    may_be_gated = true;
    source.layers.push_back({0, read_layer(weights, mapped(map), fold_norm), {}, {}});
  } else if (const auto found = find_paper_classifier(weights)) {
    source.layers = paper_layers(weights, *found);
  } else if (!is_paper_transformer(weights) && has_config && read_model_type(path) == "bilinear_mlp") {
    source.classifier = read_classifier_config(path);
    if (source.classifier->gate != Gate::kNone) {
      throw not_bilinear(path, gate_name(source.classifier->gate), "train with gate \"none\".");
    }
    source.layers = classifier_layers(weights, *source.classifier);
  } else {
    may_be_gated = !is_paper_transformer(weights);
    if (!may_be_gated) refuse_gated(weights, PaperConfig::beside(path));
    for (const auto& names : find_mlps(weights)) {
      source.layers.push_back({names.layer, read_layer(weights, names, fold_norm), {}, {}});
    }
  }
  if (source.layers.empty()) {
    throw Error(
        ExitCode::kBadInput,
        {path.string(), "tensors named ...gate_proj.weight and ...up_proj.weight, or as another known format",
         "none",
         "Name the tensors in the config: \"weights\": {\"gate\": ..., \"up\": ..., \"down\": ...}."});
  }
  if (may_be_gated) stand_in(source, weights, config);
  for (const auto& layer : source.layers)
    check_layer(layer.layer, path.string() + ": layer " + std::to_string(layer.number));
  return source;
}

}  // namespace bilens
