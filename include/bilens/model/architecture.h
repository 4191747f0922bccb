#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bilens/core/json.h"
#include "bilens/model/mlp_names.h"
#include "bilens/model/stored_model.h"
#include "bilens/nn/gate.h"

namespace bilens {

/// What feeds a gated MLP, x = norm(h), and what its output meets. A gain is the stored weight w, or 1 + w;
/// it folds into the matrices. Behind the MLP a norm is a gain on the output and a positive number a token.
struct MlpNorms {
  enum class Kind {
    kNone,  // x = h, the residual stream as it is
    kRms,   // h / rms(h) ⊙ gain
    kLayer  // (h − mean(h)) / std(h) ⊙ gain + bias
  };
  Kind kind = Kind::kNone;
  std::string
      before;  // the norm in front, as it is called in its block: "post_attention_layernorm"; "": none
  bool one_plus = false;  // gains are 1 + w
  bool optional = false;  // versions without a gain exist: then it is 1
  std::string behind;     // the norm behind the MLP; "": none
  std::string source;     // who says so
};

/// What a model says of itself, beside its weights.
struct Architecture {
  std::string type;         // model_type, such as "gemma2"; "" where nothing says it
  std::string type_source;  // who says it: "config.json: model_type"
  std::string gate;  // a word of gate_names(), or an activation that is not among them; "": nothing says it
  std::string gate_source;
  Json config;                         // the config.json, or its text_config; null without one
  std::vector<Gate> layer_gates = {};  // where layers differ, each one's: none or `gate`; else empty
};

/// By the first of these that says something: config.json, in the directory or beside a named file (Hugging
/// Face's, ours, the papers'); Meta's params.json; the model_args of a checkpoint; the header of a llama2.c
/// file.
/// @throws Error(kBadInput): a config that is damaged or contradicts itself
Architecture read_architecture(const StoredModel& model);

/// The architecture of one stack of a model. The config's text part does not describe a vision or audio tower
/// beside the decoder, so nothing is known of that.
Architecture architecture_of_stack(const Architecture& model, const MlpNames& mlp);

/// The norms around an MLP, by the family that its names tell, else by the architecture's; nothing where
/// neither is known.
std::optional<MlpNorms> norms_of(const Architecture& architecture, const MlpNames& mlp);

/// Norms that stand in the MLP's block, whatever their names; those inside attention and MLP do not count.
std::vector<std::string> norms_in_block(const Weights& weights, const MlpNames& mlp);

}  // namespace bilens
