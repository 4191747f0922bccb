#include "families.h"
#include "two_ropes.h"
#include "windows.h"

namespace bilens::family {

namespace {

/// Norms stand behind attention and MLP alone.
MlpNorms behind_the_mlp() {
  return {MlpNorms::Kind::kNone, "", false, false, "post_feedforward_layernorm", ""};
}

/// Base of the wavelengths in layers with windows, whatever "rope_theta" beside rope_parameters is: as
/// transformers 5 reads it.
constexpr double kThetaOfOlmo3 = 5e5;

/// In the keys that transformers 4 and 5 both read. Where layers with windows have another base than version
/// 5 takes by itself, rope_parameters says it beside these.
void write_ropes_of_olmo3(const DecoderConfig& config, Json& json) {
  write_rope(config.rope, json);
  if (config.local_rope->theta == kThetaOfOlmo3) return;
  Json full = json["rope_scaling"].is_null() ? Json{{"rope_type", "default"}} : json["rope_scaling"];
  full["rope_theta"] = config.rope.theta;
  json["rope_parameters"] = {
      {"full_attention", full},
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", config.local_rope->theta}}}};
}

/// OLMo 2 or 3: adds what both have to what is its own.
Family with_what_olmos_have(Family own) {
  own.norms = behind_the_mlp();
  own.before_attention = "";
  own.behind_attention = "post_attention_layernorm";
  own.is_computed = true;
  own.lacks = {"mlp_bias"};
  Json defaults = {
      {"rms_norm_eps", 1e-5}, {"bos_token_id", nullptr}, {"eos_token_id", 50279}, {"pad_token_id", 1}};
  defaults.update(own.defaults);
  own.defaults = defaults;
  return own;
}

}  // namespace

const Family& olmo2() {
  static const Family family =
      with_what_olmos_have({.name = "OLMo 2",
                            .types = {"olmo2"},
                            .architecture = "Olmo2ForCausalLM",
                            .complete = [](DecoderConfig& config, const std::string&, std::vector<Problem>&) {
                              config.query_key_norms = QueryKeyNorms::kProjections;
                            }});
  return family;
}

const Family& olmo3() {
  static const Family family = with_what_olmos_have(
      {.name = "OLMo 3",
       .types = {"olmo3"},
       .architecture = "Olmo3ForCausalLM",
       .defaults = {{"rope_theta", kThetaOfOlmo3}, {"sliding_window", 4096}},
       .own_keys = layer_window_keys,
       .read_rope =
           [](const Json& json, DecoderConfig& config, const std::string& where,
              std::vector<Problem>& problems) {
             read_two_ropes(json, kThetaOfOlmo3, config, where, problems);
           },
       .write_rope = write_ropes_of_olmo3,
       .complete =
           [](DecoderConfig& config, const std::string& where, std::vector<Problem>& problems) {
             config.query_key_norms = QueryKeyNorms::kProjections;
             require_window(config, where, problems);
             set_windows(
                 config, [](int64_t layer) { return (layer + 1) % 4 != 0; }, where, problems);
             turn_windows_locally(config);
           }});
  return family;
}

}  // namespace bilens::family
