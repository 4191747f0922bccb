#include "families.h"
#include "windows.h"

namespace bilens::family {

namespace {

const FieldTable<DecoderConfig>& keys_of_smollm3() {
  using C = DecoderConfig;
  static const FieldTable<C> table =
      FieldTable<C>("What a SmolLM3 has beside a Llama.")
          .all_of(window_keys())
          .integers(
              "no_rope_layers", &C::no_rope_layers,
              "1 for each layer whose queries and keys are turned, 0 for the others; empty: by the interval.",
              between(0, 1))
          .integer("no_rope_layer_interval", &C::no_rope_layer_interval,
                   "Every n-th layer is not turned, where no_rope_layers does not say it.", at_least(1),
                   "layers");
  return table;
}

void complete_smollm3(DecoderConfig& config, const std::string& where, std::vector<Problem>& problems) {
  const auto& given = config.no_rope_layers;
  if (!given.empty() && static_cast<int64_t>(given.size()) < config.num_hidden_layers) {
    problems.push_back({where + ": no_rope_layers",
                        std::to_string(config.num_hidden_layers) + ", one a layer",
                        std::to_string(given.size()), ""});
    return;
  }
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const bool turned =
        given.empty() ? (i + 1) % config.no_rope_layer_interval != 0 : given[static_cast<size_t>(i)] == 1;
    config.turnings.push_back(turned ? Turning::kGlobal : Turning::kNone);
  }
  set_windows(
      config, [&](int64_t layer) { return config.turning_of(layer) == Turning::kNone; }, where, problems);
}

}  // namespace

const Family& smollm3() {
  static const Family family = {.name = "SmolLM3",
                                .types = {"smollm3"},
                                .architecture = "SmolLM3ForCausalLM",
                                .norms = post_attention_rms(),
                                .is_computed = true,
                                .defaults = {{"num_key_value_heads", 4},
                                             {"max_position_embeddings", 32768},
                                             {"tie_word_embeddings", true},
                                             {"rope_theta", 2e6},
                                             {"bos_token_id", 128000},
                                             {"eos_token_id", 128001},
                                             {"pad_token_id", 128004}},
                                .own_keys = keys_of_smollm3,
                                .complete = complete_smollm3};
  return family;
}

}  // namespace bilens::family
