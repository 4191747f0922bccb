#include "bilens/model/llama2c_config.h"

namespace bilens {

LlamaConfig config_of_llama2c(const Llama2cHeader& header) {
  LlamaConfig config;
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

}  // namespace bilens
