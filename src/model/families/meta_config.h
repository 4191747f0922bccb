#pragma once

#include <string>

#include "bilens/core/fields.h"
#include "bilens/model/decoder_config.h"

namespace bilens {

/// What Meta's params.json says of a Llama, and llama2.c's training script in "model_args".
struct MetaArgs {
  int64_t dim = 0, n_layers = 0, n_heads = 0;
  int64_t n_kv_heads = 0;                   // 0: n_heads
  int64_t head_dim = 0;                     // 0: dim / n_heads
  int64_t vocab_size = -1;                  // -1: as many as the embedding has rows
  int64_t hidden_dim = 0, multiple_of = 0;  // 0: not given
  double ffn_dim_multiplier = 1.0;
  double norm_eps = 1e-5;
  double rope_theta = 10000.0;
  bool use_scaled_rope = false;
  double rope_scaling_factor = 0.0;  // 0: not given
  int64_t max_seq_len = 0;           // 0: not given
  int64_t max_batch_size = 0;
  double dropout = 0.0;

  static const FieldTable<MetaArgs>& fields();

  /// Hidden units of each MLP: hidden_dim, or ⌊ffn_dim_multiplier ⌊8 dim / 3⌋⌋ rounded up to a multiple of
  /// multiple_of; 0 where neither is given.
  int64_t hidden_units() const;
};

/// @throws Error(kBadInput) with every problem at once, also for keys that are not known: they may change
/// what the model computes.
MetaArgs parse_meta_args(const Json& json, const std::string& where);

/// The decoder of these arguments with Hugging Face's keys. max_seq_len alone tells the trained length;
/// without it that is 131,072 positions with scaled angles, 8,192 with another base than 10,000, else 2,048.
/// @param vocabulary, hidden_units as the tensors have them
/// @throws Error(kBadInput) where sizes contradict each other or the tensors, and for scaled angles whose
/// factor is not certain
/// Source: https://github.com/meta-llama/llama-models (models/llama3/args.py, model.py)
DecoderConfig config_of_meta(const MetaArgs& args, const std::string& where, int64_t vocabulary,
                             int64_t hidden_units);

}  // namespace bilens
