#include "families.h"
#include "windows.h"

namespace bilens::family {

namespace {

const FieldTable<DecoderConfig>& keys_of_qwen() {
  static const FieldTable<DecoderConfig> table =
      FieldTable<DecoderConfig>("What a Qwen has beside a Llama.")
          .all_of(window_keys())
          .integer("max_window_layers", &DecoderConfig::max_window_layers,
                   "Layers from the first on that see everything, where layer_types does not say it.",
                   at_least(0), "layers");
  return table;
}

void set_windows_of_qwen(DecoderConfig& config, const std::string& where, std::vector<Problem>& problems) {
  set_windows(
      config, [&](int64_t layer) { return layer >= config.max_window_layers; }, where, problems);
}

const Json& defaults_of_qwen() {
  static const Json values = {{"num_key_value_heads", 32}, {"max_position_embeddings", 32768},
                              {"sliding_window", 4096},    {"max_window_layers", 28},
                              {"bos_token_id", nullptr},   {"eos_token_id", nullptr}};
  return values;
}

Json with_head_dim(Json values) {
  values["head_dim"] = 128;
  return values;
}

}  // namespace

const Family& qwen2() {
  static const Family family = {
      .name = "Qwen 2",
      .types = {"qwen2"},
      .architecture = "Qwen2ForCausalLM",
      .norms = post_attention_rms(),
      .is_computed = true,
      .lacks = {"attention_bias", "mlp_bias"},
      .defaults = defaults_of_qwen(),
      .own_keys = keys_of_qwen,
      .complete = [](DecoderConfig& config, const std::string& where, std::vector<Problem>& problems) {
        config.attention_bias = true;
        config.output_bias = false;
        set_windows_of_qwen(config, where, problems);
      }};
  return family;
}

const Family& qwen3() {
  static const Family family = {
      .name = "Qwen 3",
      .types = {"qwen3"},
      .architecture = "Qwen3ForCausalLM",
      .norms = post_attention_rms(),
      .is_computed = true,
      .lacks = {"mlp_bias"},
      .defaults = with_head_dim(defaults_of_qwen()),
      .own_keys = keys_of_qwen,
      .complete = [](DecoderConfig& config, const std::string& where, std::vector<Problem>& problems) {
        config.query_key_norms = QueryKeyNorms::kHeads;
        set_windows_of_qwen(config, where, problems);
      }};
  return family;
}

}  // namespace bilens::family
