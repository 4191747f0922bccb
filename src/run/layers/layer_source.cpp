#include "layer_source.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/core/invocation.h"
#include "bilens/core/log.h"
#include "bilens/core/text.h"
#include "bilens/io/tensor_expression.h"
#include "bilens/model/decoder_directory.h"
#include "bilens/model/family.h"
#include "bilens/model/layer_acts.h"
#include "bilens/model/model_directory.h"
#include "bilens/model/partial_weights.h"
#include "bilens/records/config_files.h"
#include "bilens/tensor/shape.h"
#include "norm_choice.h"
#include "train/conversion.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

Error not_bilinear(const fs::path& path, const GateChoice& gate, const std::string& instead) {
  return Error(ExitCode::kBadInput, {path.string(), "a bilinear gate (\"none\", or hidden_act \"linear\")",
                                     "\"" + gate.name + "\", by " + gate.source,
                                     "Only bilinear layers have interaction matrices: " + instead});
}

std::string name_of(const fs::path& path, int64_t number) {
  return path.string() + ": layer " + std::to_string(number);
}

/// What a classifier has around its layers.
struct Ends {
  std::string embed, head;
  bool residual = false;
};

/// The layers of an image classifier, all of whose widths are the config's.
void add_classifier_layers(LayerSource& source, const Weights& weights, const ClassifierConfig& config,
                           const std::vector<MlpNames>& mlps, const Ends& ends) {
  const std::string where = weights.path().string() + ": ";
  if (static_cast<int64_t>(mlps.size()) != config.n_layers) {
    throw Error(ExitCode::kBadInput,
                {weights.path().string(), std::to_string(config.n_layers) + " layers, as config.json says",
                 std::to_string(mlps.size()), "config.json and the weights do not belong together."});
  }
  const auto embed = weights.tensor(ends.embed), head = weights.tensor(ends.head);
  require_shape(embed, {config.d_model, config.d_input}, where + ends.embed);
  for (const auto& names : mlps) {
    const bool first = names.layer == 0, last = names.layer + 1 == config.n_layers;
    const auto load = [=, path = source.model.path()] {
      SourceLayer layer{names.layer, read_matrices(weights, names, name_of(path, names.layer)), {}, {}};
      layer.layer.residual = ends.residual;
      require_shape(layer.layer.gate, {config.d_hidden, config.d_model}, where + names.gate);
      check_layer(layer.layer, name_of(path, names.layer));
      if (first) layer.embed = embed;
      if (ends.residual || last) layer.head = head;
      if (layer.head.defined())
        require_shape(head, {config.d_output, layer.layer.d_out()}, where + ends.head);
      return layer;
    };
    load();  // what is wrong with any layer is said before one is solved
    source.layers.push_back({names.layer, load});
  }
  source.over_inputs = source.raw_stream = true;
}

/// H, times the gain of the norm in front of it, in float64.
at::Tensor read_head(const Weights& weights, const WeightMap& map) {
  const auto head = read_expression(weights, map.head);
  require_finite(head, weights.path().string() + ": " + map.head);
  if (map.final_norm.empty()) return head;
  const auto gain = weights.tensor(map.final_norm).to(at::kDouble);
  require_shape(gain, {head.size(-1)}, weights.path().string() + ": " + map.final_norm);
  return head.to(at::kDouble) * (map.one_plus ? gain + 1 : gain);
}

/// E and H as `weights` names them, in front of the first layer and behind the last.
void put_ends(const Weights& weights, const WeightMap& map, LayerSource& source) {
  const auto wrap = [](LazyLayer& layer, const auto& change) {
    layer.load = [load = layer.load, change] {
      auto loaded = load();
      change(loaded);
      return loaded;
    };
  };
  if (!map.embed.empty()) {
    const auto embed = read_expression(weights, map.embed);
    require_finite(embed, weights.path().string() + ": " + map.embed);
    wrap(source.layers.front(), [=, where = weights.path().string() + ": " + map.embed](SourceLayer& layer) {
      require_shape(embed, {layer.layer.d_in(), -1}, where);
      layer.embed = embed;
    });
    source.over_inputs = true;
  }
  if (!map.head.empty()) {
    const auto head = read_head(weights, map);
    wrap(source.layers.back(), [=, where = weights.path().string() + ": " + map.head](SourceLayer& layer) {
      require_shape(head, {-1, layer.layer.d_out()}, where);
      layer.head = head;
    });
  }
}

Error no_layers(const fs::path& path) {
  return Error(
      ExitCode::kBadInput,
      {path.string(), "tensors named ...gate_proj.weight and ...up_proj.weight, or as another known format",
       "none",
       "Name them: --set 'weights.gate=blocks.{layer}.w.weight' --set 'weights.up=blocks.{layer}.v.weight' "
       "--set 'weights.down=blocks.{layer}.p.weight'; `bilens inspect` lists the names."});
}

/// A Hugging Face layer whose down matrix is not there, unless somebody says that there is none.
void require_down(const Weights& weights, const MlpNames& mlp, const WeightMap& map) {
  if (!mlp.down.empty() || !mlp.needs_down || map.says_identity()) return;
  throw Error(ExitCode::kBadInput, {weights.path().string(), "a down matrix beside " + mlp.gate, "none",
                                    "It may lie in another file. Where there is none, type\n  " +
                                        invocation_with("--set weights.down=identity")});
}

/// The MLPs of a model that is no image classifier.
std::vector<MlpNames> choose_mlps(const StoredModel& model, const Architecture& architecture,
                                  const WeightMap& map) {
  const auto& weights = model.weights();
  if (map.names_layers()) return map_layers(weights, map);
  auto mlps = find_mlps(weights);
  refuse_partial_mlps(weights, mlps);
  if (mlps.empty()) throw no_layers(weights.path());
  for (const auto& mlp : mlps) require_down(weights, mlp, map);
  require_sizes(model, architecture, mlps);
  std::erase_if(mlps,
                [&](const auto& mlp) { return !weights.is_named(parse_tensor_expression(mlp.gate).name); });
  return mlps;
}

/// Whether decoders of this model_type are computed here.
bool computes(const std::string& type) {
  const auto types = decoder_types();
  return std::find(types.begin(), types.end(), type) != types.end();
}

/// The model_type that stands in config.json itself, not in a part of it; nothing where there is none.
std::optional<std::string> type_in_config(const StoredModel& model) {
  std::vector<Problem> foreign;  // what is wrong there is said by whoever reads the config
  return ModelSettings::record().read(model.json("config.json"), "", foreign).model_type;
}

/// What AutoModel loads: a decoder's layers and embedding under names without "model.", and no head.
bool is_headless(const Weights& weights) {
  const std::string embedding = "embed_tokens.weight", of_a_whole_model = "model." + embedding;
  return weights.contains(embedding) && !weights.contains(of_a_whole_model);
}

/// A decoder's directory must be what `bilens evaluate` would take, wherever its config tells enough to
/// check.
void check_as_evaluated(const StoredModel& model, const Architecture& architecture) {
  const char* const needed[] = {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                                "num_attention_heads"};
  const bool nested = model.json("config.json").is_object() && type_in_config(model) != architecture.type;
  if (nested || !computes(architecture.type) || !model.is_directory() || is_headless(model.weights()) ||
      !std::all_of(std::begin(needed), std::end(needed),
                   [&](const char* key) { return architecture.config.contains(key); }))
    return;
  check_decoder_tensors(model.weights(), read_decoder_config(model));
}

/// Which layer of the running model a name means is not known, nor what is left at the ends.
void require_no_names(const Architecture& architecture, const WeightMap& map, const fs::path& path) {
  const bool named = map.names_layers() || !map.first_named().empty();
  if (architecture.layer_gates.empty() || !named) return;
  throw Error(ExitCode::kUsage,
              {"weights", "none with " + path.string() + ", some of whose layers are bilinear",
               "tensor names", "Take layers=[...] by their numbers."});
}

/// Whether a layer is none of the bilinear ones.
bool is_gated(const Architecture& architecture, const LayerSource& source, int64_t layer) {
  const auto& gates = architecture.layer_gates;
  if (gates.empty()) return !source.gate.is_bilinear();
  if (layer < static_cast<int64_t>(gates.size())) return gates[static_cast<size_t>(layer)] != Gate::kNone;
  throw Error(ExitCode::kBadInput, {source.model.path().string() + ": config.json: " + kLayerActs,
                                    "a name for each layer", "none for layer " + std::to_string(layer), ""});
}

void add_layers(LayerSource& source, const Architecture& whole, const LayerSourceConfig& config) {
  const auto& weights = source.model.weights();
  const auto mlps = choose_mlps(source.model, whole, config.weights);
  const auto architecture = architecture_of_stack(whole, mlps.front());
  require_no_names(architecture, config.weights, source.model.path());
  source.gate = choose_gate(architecture, mlps.front().family, config.gate, source.model.path().string());
  const auto norms = choose_norms(weights, architecture, mlps, config.weights, config.fold_norm);
  source.fold_norm = norms.folded;
  source.raw_stream = norms.raw_stream;
  source.norm = norms.record;
  for (const auto& stored : norms.layers) {
    const std::string where = name_of(source.model.path(), stored.names.layer);
    read_matrices(weights, stored.names, where);  // what is wrong with any layer is said before one is solved
    weights.let_go();
    source.layers.push_back(
        {stored.names.layer,
         [=] {
           SourceLayer read{stored.names.layer, read_layer(weights, stored, where), {}, {}};
           weights.let_go();
           return read;
         },
         is_gated(architecture, source, stored.names.layer)});
  }
  put_ends(weights, config.weights, source);
}

void halve(LayerSource& source) {
  for (auto& lazy : source.layers) {
    if (!lazy.is_gated) continue;
    lazy.load = [load = lazy.load] {
      auto source = load();
      auto& layer = source.layer;
      layer = layer.to(at::kDouble, at::kCPU);
      layer.gate = layer.gate * 0.5;
      if (layer.gate_bias.defined()) layer.gate_bias = layer.gate_bias * 0.5;
      return source;
    };
  }
}

std::string numbers_where(const LayerSource& source, bool gated) {
  std::vector<std::string> numbers;
  for (const auto& layer : source.layers)
    if (layer.is_gated == gated) numbers.push_back(std::to_string(layer.number));
  return join(numbers);
}

/// Keeps the bilinear layers alone, where the model has some. @return whether it has
bool keep_bilinear(LayerSource& source) {
  const auto bilinear = numbers_where(source, false);
  if (bilinear.empty()) return false;
  log_warning("layers " + numbers_where(source, true) + " of " + source.model.path().string() +
              " are left out: their gate is \"" + source.gate.name + "\", and surrogate is \"none\"");
  std::erase_if(source.layers, [](const LazyLayer& layer) { return layer.is_gated; });
  source.gate = {{gate_name(Gate::kNone), source.gate.source}, Gate::kNone};
  return true;
}

/// Puts the bilinear part in the place of gated layers, notes what is to stand there, leaves them out beside
/// bilinear ones, or refuses them.
void stand_in(LayerSource& source, const std::optional<SurrogateKind>& surrogate) {
  const auto& gate = source.gate;
  if (gate.is_bilinear() || (!surrogate && keep_bilinear(source))) return;
  if (!gate.has_half())
    throw not_bilinear(source.model.path(), gate, "`bilens finetune` makes a gated language model bilinear.");
  if (!surrogate) {
    throw not_bilinear(
        source.model.path(), gate,
        "make a bilinear model of it with `bilens finetune`, or decompose a bilinear layer near to "
        "each of its own:\n  " +
            invocation_with("--set surrogate=half") + "\nor surrogate=calibrated, on text.");
  }
  const bool half = *surrogate == SurrogateKind::kHalf;
  if (half) halve(source);
  auto& record = source.surrogate.emplace();
  record.kind = *surrogate;
  record.hidden_act = gate.name;
  record.meaning = half ? "The bilinear part of a gated layer, P(½Wx ⊙ Vx), not the layer: the rest of "
                          "the activation, even in Wx, is left out."
                        : "A bilinear layer near to a gated one on text, not the layer: each unit's product "
                          "f(z)y of z = Wx and y = Vx is replaced by a quadratic form of z and y with "
                          "the terms zy, y, z², z and 1.";
  if (const auto bilinear = numbers_where(source, false); !bilinear.empty())
    record.meaning += " Layers " + bilinear + " are bilinear and are decomposed as they are.";
}

/// Image classifiers are what their config says: nothing stands for them, and their tensors have their names.
void require_bilinear_classifier(const LayerSource& source, const WeightMap& map) {
  if (const auto named = map.first_named(); !named.empty()) {
    throw Error(ExitCode::kUsage, {"weights", "none beside an image classifier, whose tensors are known",
                                   named, "Leave it out, or name gate, up and down too."});
  }
  if (!source.gate.is_bilinear())
    throw not_bilinear(source.model.path(), source.gate, "train with gate \"none\".");
}

/// A named weight file of our own classifier is that classifier.
StoredModel whole_model(const StoredModel& named) {
  if (named.path().filename() != "model.safetensors") return named;
  return type_in_config(named) == "bilinear_mlp" ? named.directory() : named;
}

}  // namespace

SourceLayer LayerSource::load(int64_t number) const {
  const auto found =
      std::find_if(layers.begin(), layers.end(), [&](const auto& layer) { return layer.number == number; });
  if (found == layers.end()) throw std::logic_error("no layer " + std::to_string(number));
  return found->load();
}

LayerSource load_layers(const StoredModel& named, const LayerSourceConfig& config) {
  LayerSource source(whole_model(named));
  const auto& model = source.model;
  const auto& weights = model.weights();
  const auto architecture = read_architecture(model);
  source.sha256 = weights.sha256();
  source.conversion = read_conversion(model);
  if (config.weights.names_layers()) {
    add_layers(source, architecture, config);
  } else if (const auto found = find_foreign_classifier(model)) {
    source.gate = choose_gate(architecture, nullptr, config.gate, model.path().string());
    require_bilinear_classifier(source, config.weights);
    add_classifier_layers(source, weights, found->config, found->mlps,
                          {found->embed, found->head, found->config.residual});
  } else if (architecture.type == "bilinear_mlp" && model.is_directory()) {
    source.classifier = read_classifier_config(model);
    source.gate = choose_gate(architecture, nullptr, config.gate, model.path().string());
    require_bilinear_classifier(source, config.weights);
    check_classifier_tensors(weights, *source.classifier);
    add_classifier_layers(source, weights, *source.classifier, find_mlps(weights),
                          {"embed.weight", "head.weight", source.classifier->residual});
  } else {
    check_as_evaluated(model, architecture);
    add_layers(source, architecture, config);
  }
  stand_in(source, config.surrogate);
  return source;
}

}  // namespace bilens
