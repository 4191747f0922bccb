#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bilens/core/fields.h"
#include "bilens/model/layer_acts.h"
#include "bilens/model/rope_config.h"
#include "bilens/model/stored_model.h"
#include "bilens/nn/attention.h"
#include "bilens/nn/gate.h"

namespace bilens {

/// The largest size that a config may say: products of two stay far from overflow.
constexpr double kLargestSize = 1 << 24;

/// What the queries of a layer see of what comes before them.
enum class LayerAttention { kFull, kSliding };

/// Norms of queries and keys before they are turned.
enum class QueryKeyNorms {
  kNone,
  kHeads,       // of each head alone
  kProjections  // of all of a token's queries together, and of all its keys
};

/// What the norms of a layer are called there; "" where there is none.
struct NormNames {
  std::string before_attention, behind_attention, before_mlp, behind_mlp;

  bool operator==(const NormNames&) const = default;
};

/// The model_type of the decoders that are trained here, and that others are written as.
const std::string& native_decoder_type();

/// A decoder's shape; the keys of Hugging Face's config.json, with their names and defaults.
struct DecoderConfig {
  std::string type = native_decoder_type();
  int64_t vocab_size = 32000;
  int64_t hidden_size = 4096;
  int64_t intermediate_size = 11008;
  int64_t num_hidden_layers = 32;
  int64_t num_attention_heads = 32;
  int64_t num_key_value_heads = 0;  // 0: num_attention_heads
  int64_t head_dim = 0;             // 0: hidden_size / num_attention_heads
  Gate hidden_act = Gate::kSilu;    // "linear" makes the MLPs bilinear
  std::vector<Gate> layer_acts;     // where layers differ: of each, kNone or hidden_act; else empty
  double rms_norm_eps = 1e-6;
  int64_t max_position_embeddings = 2048;
  bool attention_bias = false;
  bool mlp_bias = false;
  bool tie_word_embeddings = false;
  double initializer_range = 0.02;
  RopeConfig rope;
  std::optional<int64_t> bos_token_id = 1;
  std::vector<int64_t> eos_token_id = {2};
  // Keys that some families have (src/model/families).
  std::optional<int64_t> sliding_window;  // how many of the last tokens a query sees; nothing: all
  bool use_sliding_window = false;
  int64_t max_window_layers = 0;
  std::vector<LayerAttention> layer_types;
  std::vector<int64_t> no_rope_layers;
  int64_t no_rope_layer_interval = 4;
  int64_t sliding_window_pattern = 6;
  std::optional<int64_t> query_pre_attn_scalar;   // s: scores are times 1/√s; nothing: head_dim
  std::optional<double> attn_logit_softcapping;   // c: scores are c tanh(score/c)
  std::optional<double> final_logit_softcapping;  // likewise the logits
  std::optional<RopeConfig> local_rope;           // of layers with windows; nothing: rope

  // What follows from the family and its keys.
  bool output_bias = true;        // of the attention, where it has biases
  std::vector<Turning> turnings;  // of each layer; empty: all by `rope`
  QueryKeyNorms query_key_norms = QueryKeyNorms::kNone;
  std::vector<int64_t> windows;   // of each layer, 0: none; empty: no layer has one
  bool one_plus_gains = false;    // the norms' gains are 1 + w
  bool scales_embedding = false;  // by √hidden_size, in the precision of the weights
  bool caps_scores = false;       // whether attn_logit_softcapping counts

  at::ScalarType dtype = at::kFloat;  // of the stored weights: float32, bfloat16, float16 or float64

  // What a training config says of the two tokens; nothing: the tokenizer's.
  std::optional<int64_t> bos_given;
  std::optional<std::vector<int64_t>> eos_given;

  /// The keys of the shape.
  static const FieldTable<DecoderConfig>& architecture_fields();
  /// What a training config chooses, under "model": the shape, bos_token_id and eos_token_id.
  static const FieldTable<DecoderConfig>& training_fields();

  /// Contradictions between keys, of a config with architecture_fields() read. Fills in the derived ones
  /// (num_key_value_heads, head_dim).
  void resolve(const std::string& where, std::vector<Problem>& problems);

  /// Takes bos_given and eos_given; where these say nothing, the tokenizer's, or none.
  void choose_tokens(std::optional<int64_t> bos, const std::vector<int64_t>& eos, const std::string& where,
                     std::vector<Problem>& problems);

  Gate gate_of(int64_t layer) const {
    return layer_acts.empty() ? hidden_act : layer_acts.at(static_cast<size_t>(layer));
  }
  std::vector<int64_t> gated_layers() const;  // that are not bilinear
  /// Whether all layers are.
  bool is_bilinear() const { return hidden_act == Gate::kNone; }
  /// Puts hidden_act and layer_acts. @param gates one a layer, those beside kNone all the same
  void set_gates(const std::vector<Gate>& gates);

  int64_t window_of(int64_t layer) const {
    return windows.empty() ? 0 : windows.at(static_cast<size_t>(layer));
  }
  Turning turning_of(int64_t layer) const {
    return turnings.empty() ? Turning::kGlobal : turnings.at(static_cast<size_t>(layer));
  }
  /// All layers' heads, with windows left open.
  AttentionHeads heads() const;
  /// Numbers of a head that are turned.
  int64_t rotary_dim() const;
  NormNames norm_names() const;
  /// Whether its config.json can say that there are biases in the MLPs.
  bool may_have_mlp_bias() const;
  /// Name and shape of every tensor, as Hugging Face names them, where projections of one input are tensors
  /// of their own; tied embeddings have no lm_head.weight.
  std::vector<std::pair<std::string, std::vector<int64_t>>> parameter_shapes() const;
  /// Name and shape of every tensor as files have them: some families store several projections as one
  /// tensor.
  std::vector<std::pair<std::string, std::vector<int64_t>>> stored_shapes() const;
  /// The tensors that a stored one consists of, one above the other; itself alone where it is none of
  /// several.
  std::vector<std::string> parts_of(const std::string& stored) const;
  /// Number of parameters.
  int64_t parameter_count() const;
};

/// JSON Schema of the key `sliding_window`.
Json window_schema();

/// Reads the content of a config.json by the family of its model_type (family.h). Keys that do not matter
/// here are passed over; those that do are checked in type, range and against each other. Old (rope_theta,
/// rope_scaling, torch_dtype) and new (rope_parameters, dtype) spellings are read.
/// @throws Error(kBadInput) with every problem at once, also for a type whose decoders are not computed here
DecoderConfig parse_decoder_config(const Json& json, const std::string& where);

/// @throws Error(kBadInput) also when the directory is no model or of another type.
DecoderConfig read_decoder_config(const StoredModel& model);

/// The content of config.json, in the spelling that transformers 4 and 5 both read.
Json decoder_config_json(const DecoderConfig& config);

}  // namespace bilens
