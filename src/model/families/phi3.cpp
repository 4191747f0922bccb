#include "families.h"
#include "windows.h"

namespace bilens::family {

namespace {

const FieldTable<DecoderConfig>& keys_of_phi3() {
  static const FieldTable<DecoderConfig> table =
      FieldTable<DecoderConfig>("What a Phi-3 has beside a Llama.")
          .value_or("sliding_window", &DecoderConfig::sliding_window, nullptr, window_schema());
  return table;
}

}  // namespace

const Family& phi3() {
  static const Family family = {
      .name = "Phi-3",
      .types = {"phi3"},
      .architecture = "Phi3ForCausalLM",
      .norms = post_attention_rms(),
      .is_computed = true,
      .lacks = {"attention_bias", "mlp_bias"},
      .defaults = {{"rms_norm_eps", 1e-5},
                   {"max_position_embeddings", 4096},
                   {"original_max_position_embeddings", 4096},
                   {"bos_token_id", 1},
                   {"eos_token_id", 32000},
                   {"pad_token_id", 32000}},
      .own_keys = keys_of_phi3,
      .read_rope =
          [](const Json& json, DecoderConfig& config, const std::string& where,
             std::vector<Problem>& problems) {
            const int64_t head_dim =
                config.head_dim > 0 ? config.head_dim : config.hidden_size / config.num_attention_heads;
            config.rope = read_phi3_rope(json, head_dim, config.max_position_embeddings, where, problems);
          },
      .write_rope = [](const DecoderConfig& config,
                       Json& json) { write_phi3_rope(config.rope, config.max_position_embeddings, json); },
      .fused = {{"self_attn.qkv_proj", {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}},
                {"mlp.gate_up_proj", {"mlp.gate_proj", "mlp.up_proj"}}},
      .complete = window_of_all_layers,
      .forms = {{"gate_up_proj.weight", "", "down_proj.weight", ""}}};
  return family;
}

}  // namespace bilens::family
