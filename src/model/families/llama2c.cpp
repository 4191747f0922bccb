#include "families.h"

namespace bilens::family {

namespace {

/// Generation ends at BOS, which separates the training documents, as well as at EOS.
std::optional<DecoderConfig> config_of_llama2c(const Weights& weights) {
  if (!weights.llama2c()) return std::nullopt;
  const auto& header = *weights.llama2c();
  DecoderConfig config;
  config.vocab_size = header.vocab_size;
  config.hidden_size = header.dim;
  config.intermediate_size = header.hidden_dim;
  config.num_hidden_layers = header.n_layers;
  config.num_attention_heads = header.n_heads;
  config.num_key_value_heads = header.n_kv_heads;
  config.head_dim = header.head_dim();
  config.max_position_embeddings = header.seq_len;
  config.rms_norm_eps = 1e-5;
  config.tie_word_embeddings = header.shared_classifier;
  config.eos_token_id = {1, 2};
  return config;
}

std::optional<Architecture> describe_llama2c(const StoredModel& model) {
  const auto& header = model.weights().llama2c();
  if (!header) return std::nullopt;
  const std::string source = "the header of llama2.c";
  return Architecture{native_decoder_type(), source, "silu", source, {{"hidden_size", header->dim}}};
}

}  // namespace

const Family& llama2c() {
  static const Family family = {
      .name = "llama2.c", .describe = describe_llama2c, .config_of_file = config_of_llama2c};
  return family;
}

}  // namespace bilens::family
