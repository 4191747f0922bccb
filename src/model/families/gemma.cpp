#include "families.h"
#include "two_ropes.h"
#include "windows.h"

namespace bilens::family {

namespace {

using C = DecoderConfig;

constexpr const char* kTanh = "gelu_pytorch_tanh";
constexpr int64_t kDefaultScalar = 256;

MlpNorms one_plus(const char* before, const char* behind) {
  return {MlpNorms::Kind::kRms, before, /*one_plus=*/true, /*optional=*/false, behind, ""};
}

const FieldTable<C>& keys_of_gemma2() {
  Json scalar = integer_schema("Scores are divided by the root of this; null: head_dim.", at_least(1), "");
  scalar["type"] = Json::array({"integer", "null"});
  static const FieldTable<C> table =
      FieldTable<C>("What a Gemma 2 has beside a Llama.")
          .all_of(layer_window_keys())
          .choice("hidden_activation", &C::hidden_act, "Nonlinearity of the MLPs' gate.", hidden_act_names())
          .value_or("query_pre_attn_scalar", &C::query_pre_attn_scalar, nullptr, scalar)
          .optional_number("attn_logit_softcapping", &C::attn_logit_softcapping,
                           "c of c tanh(score/c); null: the score itself.", between(1e-30, 1e30))
          .optional_number("final_logit_softcapping", &C::final_logit_softcapping, "The same of the logits.",
                           between(1e-30, 1e30));
  return table;
}

const FieldTable<C>& keys_of_gemma3() {
  static const FieldTable<C> table =
      FieldTable<C>("What a Gemma 3 has beside a Llama.")
          .all_of(keys_of_gemma2())
          .integer("sliding_window_pattern", &C::sliding_window_pattern,
                   "Every n-th layer has no window, where layer_types does not say it.", at_least(1),
                   "layers");
  return table;
}

const Json& defaults_of_gemma() {
  static const Json values = {{"head_dim", 256},     {"max_position_embeddings", 8192},
                              {"bos_token_id", 2},   {"eos_token_id", 1},
                              {"pad_token_id", 0},   {"tie_word_embeddings", true},
                              {"hidden_act", kTanh}, {"num_key_value_heads", 16}};
  return values;
}

/// Defaults of Gemma 2 and 3. @param more of one of them
Json defaults_of_later(const Json& more) {
  Json values = defaults_of_gemma();
  values.erase("hidden_act");
  values.update({{"hidden_activation", kTanh},
                 {"num_key_value_heads", 4},
                 {"sliding_window", 4096},
                 {"query_pre_attn_scalar", kDefaultScalar}});
  values.update(more);
  return values;
}

/// A model that looks ahead is no decoder.
void refuse_looking_ahead(const Json& json, const std::string& where, std::vector<Problem>& problems) {
  const Json both = json.value("use_bidirectional_attention", Json());
  if (both.is_null() || both == false) return;
  problems.push_back({key_path(where, "use_bidirectional_attention"), "false or null", describe(both),
                      "Only models whose tokens see what comes before them are computed here."});
}

void read_plain_rope(const Json& json, C& config, const std::string& where, std::vector<Problem>& problems) {
  refuse_looking_ahead(json, where, problems);
  config.rope = read_rope(json, config.max_position_embeddings, where, problems);
}

/// Layers with windows have rope_local_base_freq where rope_parameters says nothing.
void read_ropes_of_gemma3(const Json& json, C& config, const std::string& where,
                          std::vector<Problem>& problems) {
  refuse_looking_ahead(json, where, problems);
  read_two_ropes(json, json.value("rope_local_base_freq", Json(1e4)), config, where, problems);
}

void write_ropes_of_gemma3(const C& config, Json& json) {
  write_rope(config.rope, json);
  json["rope_local_base_freq"] = config.local_rope->theta;
}

void set_gains_and_scale(C& config) { config.one_plus_gains = config.scales_embedding = true; }

void complete_gemma(C& config, const std::string&, std::vector<Problem>&) { set_gains_and_scale(config); }

void complete_gemma2(C& config, const std::string& where, std::vector<Problem>& problems) {
  set_gains_and_scale(config);
  config.caps_scores = true;
  require_window(config, where, problems);
  set_windows(
      config, [](int64_t layer) { return layer % 2 == 0; }, where, problems);
}

void complete_gemma3(C& config, const std::string& where, std::vector<Problem>& problems) {
  set_gains_and_scale(config);
  config.query_key_norms = QueryKeyNorms::kHeads;
  require_window(config, where, problems);
  set_windows(
      config, [&](int64_t layer) { return (layer + 1) % config.sliding_window_pattern != 0; }, where,
      problems);
  turn_windows_locally(config);
}

/// Gemma 2 or 3: adds what both have to what is its own.
Family with_what_both_have(Family own) {
  own.act_key = "hidden_activation";
  own.act = kTanh;
  own.other_act_key = "hidden_act";
  own.norms = one_plus("pre_feedforward_layernorm", "post_feedforward_layernorm");
  own.behind_attention = "post_attention_layernorm";
  own.is_computed = true;
  own.lacks = {"mlp_bias", "hidden_act"};
  return own;
}

}  // namespace

const Family& gemma() {
  static const Family family = {.name = "Gemma",
                                .types = {"gemma"},
                                .architecture = "GemmaForCausalLM",
                                .act = kTanh,
                                .other_act_key = "hidden_activation",
                                .gelu_is_tanh = true,
                                .norms = one_plus("post_attention_layernorm", ""),
                                .is_computed = true,
                                .lacks = {"mlp_bias"},
                                .defaults = defaults_of_gemma(),
                                .read_rope = read_plain_rope,
                                .complete = complete_gemma};
  return family;
}

const Family& gemma2() {
  static const Family family = with_what_both_have(
      {.name = "Gemma 2",
       .types = {"gemma2"},
       .architecture = "Gemma2ForCausalLM",
       .defaults = defaults_of_later({{"attn_logit_softcapping", 50.0}, {"final_logit_softcapping", 30.0}}),
       .own_keys = keys_of_gemma2,
       .read_rope = read_plain_rope,
       .complete = complete_gemma2});
  return family;
}

const Family& gemma3() {
  static const Family family =
      with_what_both_have({.name = "Gemma 3",
                           .types = {"gemma3_text"},
                           .architecture = "Gemma3ForCausalLM",
                           .defaults = defaults_of_later({{"vocab_size", 262208},
                                                          {"hidden_size", 2304},
                                                          {"intermediate_size", 9216},
                                                          {"num_hidden_layers", 26},
                                                          {"num_attention_heads", 8},
                                                          {"max_position_embeddings", 131072},
                                                          {"rope_theta", 1e6},
                                                          {"rope_local_base_freq", 1e4}}),
                           .own_keys = keys_of_gemma3,
                           .read_rope = read_ropes_of_gemma3,
                           .write_rope = write_ropes_of_gemma3,
                           .part_of = {"gemma3"},
                           .prefixes = {{"language_model.model.", "model."},
                                        {"model.language_model.", "model."},
                                        {"language_model.lm_head.", "lm_head."}},
                           .other_parts = {"vision_tower.", "multi_modal_projector.", "model.vision_tower.",
                                           "model.multi_modal_projector."},
                           .complete = complete_gemma3});
  return family;
}

const Family& later_gemmas() {
  static const Family family = {.name = "later Gemmas, of which only the activation is known",
                                .types = {"gemma3n_text", "gemma4_text"},
                                .act_key = "hidden_activation",
                                .act = ""};
  return family;
}

}  // namespace bilens::family
