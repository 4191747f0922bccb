#include "meta_config.h"

namespace bilens {

namespace {

constexpr int64_t kLlama3Vocabulary = 128256;

/// Llama 3.2 has the same params.json as 3.1, but for the sizes of its text models.
bool is_llama_3_2(const MetaArgs& args) { return args.dim == 2048 || args.dim == 3072; }

/// Meta's code scales by 8; of Llama 3.2 the config.json at Hugging Face says 32.
double scaling_factor(const MetaArgs& args, const std::string& where) {
  if (args.rope_scaling_factor > 0) return args.rope_scaling_factor;
  if (!is_llama_3_2(args)) return 8;
  throw Error(
      ExitCode::kBadInput,
      {where, "a rope_scaling_factor beside use_scaled_rope for a Llama 3.2 of this size", "none",
       "Add \"rope_scaling_factor\": 32, as its config.json at Hugging Face has, or 8, as Meta's code."});
}

void set_rope(const MetaArgs& args, const std::string& where, DecoderConfig& c) {
  c.rope.theta = args.rope_theta;
  if (!args.use_scaled_rope) return;
  c.rope.scaling = RopeScaling::kLlama3;
  c.rope.factor = scaling_factor(args, where);
  c.rope.low_freq_factor = 1;
  c.rope.high_freq_factor = 4;
  c.rope.original_max_position_embeddings = 8192;
}

void set_tokens(DecoderConfig& c) {
  if (c.vocab_size == kLlama3Vocabulary) {
    c.bos_token_id = 128000;
    c.eos_token_id = {128001, 128008, 128009};  // end of text, of a message, of a turn
  }
  if (c.vocab_size <= 1) c.bos_token_id.reset();
  if (c.vocab_size <= 2) c.eos_token_id.clear();
}

}  // namespace

const FieldTable<MetaArgs>& MetaArgs::fields() {
  using C = MetaArgs;
  static const FieldTable<C> table =
      FieldTable<C>("A Llama, with the keys of Meta's params.json.")
          .integer("dim", &C::dim, "Width of the residual stream.", between(1, kLargestSize), "units")
          .required()
          .integer("n_layers", &C::n_layers, "Number of layers.", between(1, 10000), "layers")
          .required()
          .integer("n_heads", &C::n_heads, "Query heads of each layer.", between(1, 1 << 16), "heads")
          .required()
          .integer("n_kv_heads", &C::n_kv_heads, "Key and value heads of each layer.", between(1, 1 << 16),
                   "heads")
          .integer("head_dim", &C::head_dim, "Width of a head.", between(1, 1 << 16), "units")
          .integer("vocab_size", &C::vocab_size, "Number of tokens; -1: the embedding's.",
                   between(-1, kLargestSize), "tokens")
          .integer("hidden_dim", &C::hidden_dim, "Hidden units of each MLP.", between(1, kLargestSize),
                   "units")
          .integer("multiple_of", &C::multiple_of, "What hidden units are rounded up to.",
                   between(1, kLargestSize), "units")
          .number("ffn_dim_multiplier", &C::ffn_dim_multiplier, "Stretches the hidden units.",
                  between(1e-6, 1e6))
          .number("norm_eps", &C::norm_eps, "Added to the mean square in each norm.", at_least(0))
          .number("rope_theta", &C::rope_theta, "Base of the wavelengths.", more_than(0))
          .flag("use_scaled_rope", &C::use_scaled_rope, "Angles stretched as those of Llama 3.1.")
          .number("rope_scaling_factor", &C::rope_scaling_factor, "How many times the trained length.",
                  at_least(1))
          .integer("max_seq_len", &C::max_seq_len, "Longest sequence.", between(1, kLongestSequence),
                   "tokens")
          .integer("max_batch_size", &C::max_batch_size, "Largest batch that their program's cache holds.",
                   at_least(1))
          .number("dropout", &C::dropout, "Dropout rate in training.", between(0, 1));
  return table;
}

int64_t MetaArgs::hidden_units() const {
  if (hidden_dim > 0 || multiple_of == 0) return hidden_dim;
  const int64_t two_thirds = 2 * (4 * dim) / 3;  // rounded down, as there
  const auto units = static_cast<int64_t>(ffn_dim_multiplier * static_cast<double>(two_thirds));
  return (units + multiple_of - 1) / multiple_of * multiple_of;
}

MetaArgs parse_meta_args(const Json& json, const std::string& where) {
  Json given = json;
  if (given.is_object()) {
    for (auto item = given.begin(); item != given.end();)
      item = item->is_null() ? given.erase(item) : std::next(item);  // None stands for "not given"
  }
  return MetaArgs::fields().parse_or_throw(given, where, ExitCode::kBadInput);
}

DecoderConfig config_of_meta(const MetaArgs& args, const std::string& where, int64_t vocabulary,
                             int64_t hidden_units) {
  std::vector<Problem> problems;
  const auto agree = [&](const std::string& key, const std::string& what, int64_t said, int64_t found) {
    if (said == found) return;
    problems.push_back({key_path(where, key), std::to_string(found) + what, std::to_string(said),
                        "Check that all files of the model are there."});
  };
  if (args.vocab_size >= 0)
    agree("vocab_size", " tokens, the rows of tok_embeddings", args.vocab_size, vocabulary);
  if (args.hidden_units() > 0) {
    agree(args.hidden_dim > 0 ? "hidden_dim" : "multiple_of", " hidden units, the rows of feed_forward.w1",
          args.hidden_units(), hidden_units);
  }
  if (args.rope_scaling_factor > 0 && !args.use_scaled_rope)
    problems.push_back({key_path(where, "rope_scaling_factor"), "\"use_scaled_rope\": true beside it", "none",
                        "Correct one of them."});
  DecoderConfig c;
  c.vocab_size = vocabulary;
  c.hidden_size = args.dim;
  c.intermediate_size = hidden_units;
  c.num_hidden_layers = args.n_layers;
  c.num_attention_heads = args.n_heads;
  c.num_key_value_heads = args.n_kv_heads;
  c.head_dim = args.head_dim;
  c.rms_norm_eps = args.norm_eps;
  c.max_position_embeddings = args.max_seq_len > 0      ? args.max_seq_len
                              : args.use_scaled_rope    ? 131072
                              : args.rope_theta > 10000 ? 8192
                                                        : 2048;
  set_rope(args, where, c);
  set_tokens(c);
  c.resolve(where, problems);
  if (!problems.empty()) throw Error(ExitCode::kBadInput, problems);
  return c;
}

}  // namespace bilens
