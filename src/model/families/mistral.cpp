#include "families.h"
#include "windows.h"

namespace bilens::family {

namespace {

const FieldTable<DecoderConfig>& keys_of_mistral() {
  static const FieldTable<DecoderConfig> table =
      FieldTable<DecoderConfig>("What a Mistral has beside a Llama.")
          .value_or("sliding_window", &DecoderConfig::sliding_window, nullptr, window_schema());
  return table;
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
                                .complete = window_of_all_layers};
  return family;
}

}  // namespace bilens::family
