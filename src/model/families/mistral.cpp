#include "families.h"

namespace bilens::family {

namespace {

const FieldTable<DecoderConfig>& keys_of_mistral() {
  static const FieldTable<DecoderConfig> table =
      FieldTable<DecoderConfig>("What a Mistral has beside a Llama.")
          .value_or("sliding_window", &DecoderConfig::sliding_window, nullptr, window_schema());
  return table;
}

void set_windows_of_mistral(DecoderConfig& config, const std::string&, std::vector<Problem>&) {
  if (config.sliding_window)
    config.windows.assign(static_cast<size_t>(config.num_hidden_layers), *config.sliding_window);
}

}  // namespace

const Family& mistral() {
  static const Family family = {.name = "Mistral",
                                .types = {"mistral"},
                                .architecture = "MistralForCausalLM",
                                .norms = post_attention_rms(),
                                .is_computed = true,
                                .lacks = {"attention_bias", "mlp_bias"},
                                .defaults = {{"num_key_value_heads", 8},
                                             {"max_position_embeddings", 4096 * 32},
                                             {"sliding_window", 4096}},
                                .own_keys = keys_of_mistral,
                                .complete = set_windows_of_mistral};
  return family;
}

}  // namespace bilens::family
