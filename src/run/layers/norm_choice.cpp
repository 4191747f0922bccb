#include "norm_choice.h"

#include <algorithm>
#include <filesystem>

#include "bilens/core/invocation.h"
#include "bilens/core/log.h"

namespace bilens {

namespace {

using Kind = MlpNorms::Kind;

const std::string kWithoutFold = "--set fold_norm=false";

std::string where(const Weights& weights, const MlpNames& mlp) {
  return weights.path().string() + ": " + (mlp.block.empty() ? mlp.gate : mlp.block);
}

NormRecord record_of(NormKind kind, const std::string& before, bool one_plus, const std::string& behind,
                     const std::string& source) {
  const auto named = [](const std::string& name) {
    return name.empty() ? std::nullopt : std::optional<std::string>(name);
  };
  const bool gain = !before.empty() || !behind.empty();
  return {kind, named(before), named(gain ? one_plus ? "1 + w" : "w" : ""), named(behind), source};
}

NormChoice named_norms(const Weights& weights, const std::vector<MlpNames>& mlps, const WeightMap& map) {
  NormChoice choice;
  choice.folded = true;
  const bool one_plus = map.one_plus;
  for (const auto& mlp : mlps) {
    const auto gain = for_layer(map.norm, mlp.layer);
    choice.layers.push_back({mlp, gain, bias_beside(weights, gain), "", one_plus});
  }
  choice.record = record_of(NormKind::kNamed, map.norm, one_plus, "", "weights.norm");
  return choice;
}

/// A norm whose gain and place nobody knows.
void refuse_unknown_norm(const Weights& weights, const Architecture& architecture, const MlpNames& mlp) {
  const auto beside = norms_in_block(weights, mlp);
  if (beside.empty()) return;
  const auto type = architecture.type.empty() ? "no model_type" : "model_type \"" + architecture.type + "\"";
  throw Error(ExitCode::kBadInput,
              {where(weights, mlp), "a model_type whose norms are known",
               type + ", and beside the MLP " + join(beside),
               "What folds into the MLP is not known. Name its norm, --set 'weights.norm=" + beside.back() +
                   "' with {layer} for the number (and weights.norm_gain=1+w where the gain is 1 + w), or "
                   "leave norms "
                   "out, for the spectrum over the MLP's own input:\n  " +
                   invocation_with(kWithoutFold)});
}

/// Whether the MLP's block has more of a model than the MLP and norms.
bool has_attention(const Weights& weights, const MlpNames& mlp) {
  return !mlp.block.empty() &&
         std::any_of(weights.tensors().begin(), weights.tensors().end(), [&](const auto& item) {
           return item.first.starts_with(mlp.block) && item.first.find("attn.") != std::string::npos;
         });
}

/// The gain of a norm that the architecture has; "" where the weights have it for no layer, as those of MLPs
/// that somebody took out of a model. @throws Error(kBadInput) where others have it, where the layer's
/// attention is there, or an index says that it exists. @param optional whether models exist without its gain
std::string find_norm(const Weights& weights, const MlpNames& mlp, const std::string& norm, bool optional) {
  if (norm.empty()) return "";
  const std::string suffix = norm + ".weight", name = mlp.block + suffix;
  if (weights.contains(name)) return name;
  const auto shard = weights.missing_shard_of(name);
  const bool elsewhere = std::any_of(weights.tensors().begin(), weights.tensors().end(),
                                     [&](const auto& item) { return item.first.ends_with("." + suffix); });
  const bool whole = !optional && has_attention(weights, mlp);
  if (shard.empty() && !elsewhere && !whole) return "";
  throw Error(ExitCode::kBadInput,
              {where(weights, mlp), "its norm " + name,
               !shard.empty() ? "none: " + shard + ", which holds it, is not there"
               : elsewhere    ? "none, though other layers have one"
                              : "none, though the layer's attention is there",
               "Without it the spectrum is that over the MLP's own input; if that is wanted:\n  " +
                   invocation_with(kWithoutFold)});
}

/// A norm around the MLP that this architecture does not have: it is another one.
void refuse_other_norms(const Weights& weights, const Architecture& architecture, const MlpNames& mlp,
                        const MlpNorms& norms) {
  for (const auto& name : norms_in_block(weights, mlp)) {
    const bool of_mlp = name.find("feedforward") != std::string::npos ||
                        name.find("mlp") != std::string::npos || name.find("ffn") != std::string::npos;
    if (!of_mlp || name == mlp.block + norms.before + ".weight" ||
        name == mlp.block + norms.behind + ".weight")
      continue;
    throw Error(ExitCode::kBadInput,
                {where(weights, mlp), "the norms of model_type \"" + architecture.type + "\"", "also " + name,
                 "config.json and the weights do not belong together."});
  }
}

StoredLayer stored_layer(const Weights& weights, const Architecture& architecture, const MlpNames& mlp,
                         const MlpNorms& norms) {
  refuse_other_norms(weights, architecture, mlp, norms);
  const auto gain = find_norm(weights, mlp, norms.before, norms.optional),
             behind = find_norm(weights, mlp, norms.behind, norms.optional);
  return {mlp, gain, gain.empty() ? "" : bias_beside(weights, gain), behind, norms.one_plus};
}

NormKind recorded(Kind kind) {
  return kind == Kind::kRms ? NormKind::kRms : kind == Kind::kLayer ? NormKind::kLayer : NormKind::kNone;
}

}  // namespace

NormChoice choose_norms(const Weights& weights, const Architecture& architecture,
                        const std::vector<MlpNames>& mlps, const WeightMap& map, bool fold) {
  if (!map.norm.empty()) {
    if (fold) return named_norms(weights, mlps, map);
    throw Error(ExitCode::kUsage, {"fold_norm", "true with weights.norm", "false", "Leave one of them out."});
  }
  NormChoice choice;
  for (const auto& mlp : mlps) {
    const auto norms = norms_of(architecture, mlp);
    if (!fold || !norms) {
      if (fold) refuse_unknown_norm(weights, architecture, mlp);
      choice.layers.push_back({mlp, "", "", "", false});
    } else {
      choice.layers.push_back(stored_layer(weights, architecture, mlp, *norms));
    }
    const auto& stored = choice.layers.back();
    choice.folded = choice.folded || !stored.gain.empty() || !stored.behind.empty();
    if (!norms) continue;
    const bool without_gain = stored.gain.empty() && !norms->optional;
    choice.raw_stream = norms->kind == Kind::kNone || without_gain;
    const auto there = [&](const std::string& found, const std::string& name) {
      return found.empty() ? "" : name;
    };
    choice.record = record_of(recorded(norms->kind), there(stored.gain, norms->before), norms->one_plus,
                              there(stored.behind, norms->behind), norms->source);
    if (!fold || norms->optional || mlp.layer != mlps.front().layer) continue;
    if (without_gain && norms->kind != Kind::kNone && !norms->before.empty())
      log_warning(where(weights, mlp) + ": no norm " + norms->before +
                  " in these weights: the spectrum is that over the MLP's own input");
    if (stored.behind.empty() && !norms->behind.empty())
      log_warning(where(weights, mlp) + ": no norm " + norms->behind +
                  " in these weights: the directions are those of the MLP's own output");
  }
  return choice;
}

void require_sizes(const StoredModel& model, const Architecture& architecture,
                   const std::vector<MlpNames>& mlps) {
  const auto& weights = model.weights();
  if (!architecture.config.is_object()) return;
  const auto size = [&](const char* key) {
    const Json value = architecture.config.value(key, Json());
    return value.is_number_integer() ? value.get<int64_t>() : -1;
  };
  const auto require = [&](const char* key, int64_t found, const std::string& of) {
    if (size(key) < 0 || size(key) == found) return;
    throw Error(ExitCode::kBadInput,
                {weights.path().string() + ": " + of,
                 std::string(key) + " " + std::to_string(size(key)) + ", by " +
                     (architecture.type_source.empty() ? "config.json" : architecture.type_source),
                 std::to_string(found), "These may be a part of the model's weights, or another model's."});
  };
  for (const auto& mlp : mlps) {
    const auto parsed = parse_tensor_expression(mlp.gate);
    const auto shape = weights.tensors().at(parsed.name).shape;
    if (shape.size() != 2) continue;  // whoever reads it says so
    require("intermediate_size", parsed.end >= 0 ? parsed.end - parsed.begin : shape[0], mlp.gate);
    require("hidden_size", shape[1], mlp.gate);
  }
  if (model.is_directory()) require("num_hidden_layers", static_cast<int64_t>(mlps.size()), "gated MLPs");
}

}  // namespace bilens
