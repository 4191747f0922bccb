#include "families.h"

namespace bilens::family {

namespace {

/// Norms stand behind attention and MLP alone.
MlpNorms behind_the_mlp() {
  return {MlpNorms::Kind::kNone, "", false, false, "post_feedforward_layernorm", ""};
}

}  // namespace

const Family& olmo2() {
  static const Family family = {
      .name = "OLMo 2",
      .types = {"olmo2"},
      .architecture = "Olmo2ForCausalLM",
      .norms = behind_the_mlp(),
      .before_attention = "",
      .behind_attention = "post_attention_layernorm",
      .is_computed = true,
      .lacks = {"mlp_bias"},
      .defaults = {{"rms_norm_eps", 1e-5},
                   {"bos_token_id", nullptr},
                   {"eos_token_id", 50279},
                   {"pad_token_id", 1}},
      .complete = [](DecoderConfig& config, const std::string&, std::vector<Problem>&) {
        config.query_key_norms = QueryKeyNorms::kProjections;
      }};
  return family;
}

const Family& olmo3() {
  static const Family family = {
      .name = "OLMo 3, of which the MLPs are read", .types = {"olmo3"}, .norms = behind_the_mlp()};
  return family;
}

}  // namespace bilens::family
