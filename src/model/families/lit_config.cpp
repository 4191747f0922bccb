#include "lit_config.h"

#include <algorithm>

#include "bilens/core/files.h"
#include "bilens/core/text.h"
#include "block_yaml.h"

namespace bilens {

namespace {

constexpr size_t kLongestConfig = size_t{1} << 20;

/// Keys that have to have the value of a Llama's, which is also their default.
const std::vector<std::pair<const char*, Json>>& plain_values() {
  static const std::vector<std::pair<const char*, Json>> all = {{"norm_qk_type", "default"},
                                                                {"post_attention_norm", false},
                                                                {"post_mlp_norm", false},
                                                                {"shared_attention_norm", false},
                                                                {"attention_scores_scalar", nullptr},
                                                                {"attention_logit_softcapping", nullptr},
                                                                {"final_logit_softcapping", nullptr},
                                                                {"rope_interleave", false},
                                                                {"rope_local_base_freq", nullptr},
                                                                {"rope_indices", nullptr},
                                                                {"n_expert", 0},
                                                                {"scale_embeddings", false},
                                                                {"lm_head_bias", false},
                                                                {"norm_1", true},
                                                                {"norm_2", true},
                                                                {"latent_attention", nullptr}};
  return all;
}

/// Keys that say nothing about such a model.
constexpr const char* kPassedOver[] = {"hf_config",
                                       "org",
                                       "padding_multiple",
                                       "gelu_approximate",
                                       "moe_intermediate_size",
                                       "n_shared_expert",
                                       "n_expert_groups",
                                       "n_topk_groups",
                                       "n_topk_scores_per_group",
                                       "n_expert_per_token",
                                       "first_k_dense_replace",
                                       "routed_scaling_factor",
                                       "norm_topk_prob",
                                       "condense_ratio"};

/// Angles that are stretched.
struct LitAngles {
  std::optional<double> factor, low_freq_factor, high_freq_factor, original_max_seq_len;

  static const FieldTable<LitAngles>& fields() {
    using C = LitAngles;
    static const FieldTable<C> table =
        FieldTable<C>("How rotary angles are stretched.")
            .optional_number("factor", &C::factor, "How many times the trained length.", at_least(1))
            .optional_number(
                "low_freq_factor", &C::low_freq_factor,
                "Wavelengths above the trained length over this are stretched by the whole factor.",
                more_than(0))
            .optional_number("high_freq_factor", &C::high_freq_factor,
                             "Wavelengths below the trained length over this are kept.", more_than(0))
            .optional_number("original_max_seq_len", &C::original_max_seq_len, "The trained length.",
                             at_least(1));
    return table;
  }
};

/// What matters of the class Config, with its defaults.
struct LitConfig {
  std::string name, norm_class_name = "LayerNorm", mlp_class_name = "GptNeoxMLP";
  int64_t n_layer = 0, n_embd = 0, n_head = 0, block_size = 4096;
  int64_t n_query_groups = 0, head_size = 0, intermediate_size = 0;  // 0: not given
  int64_t vocab_size = 0, padded_vocab_size = 0, rope_n_elem = 0;    // 0: not given
  double norm_eps = 1e-5, rope_base = 10000, rotary_percentage = 0.25, rope_condense_ratio = 1;
  bool bias = true, attn_bias = false, norm_qk = false, parallel_residual = true;
  int64_t sliding_window_size = 0;  // 0: none
  std::vector<int64_t> sliding_window_indices;
  std::optional<LitAngles> rope_adjustments;

  static const FieldTable<LitConfig>& fields() {
    using C = LitConfig;
    const auto size = between(1, kLargestSize);
    static const FieldTable<C> table =
        FieldTable<C>("A model of LitGPT.")
            .text("name", &C::name, "Name of the model.")
            .text("norm_class_name", &C::norm_class_name, "Class of the norms.")
            .text("mlp_class_name", &C::mlp_class_name, "Class of the MLPs.")
            .integer("n_layer", &C::n_layer, "Number of layers.", between(1, 10000), "layers")
            .required()
            .integer("n_embd", &C::n_embd, "Width of the residual stream.", size, "units")
            .required()
            .integer("n_head", &C::n_head, "Query heads of each layer.", between(1, 1 << 16), "heads")
            .required()
            .integer("block_size", &C::block_size, "Longest sequence.", between(1, kLongestSequence),
                     "tokens")
            .integer("n_query_groups", &C::n_query_groups, "Key and value heads of each layer.",
                     between(1, 1 << 16), "heads")
            .integer("head_size", &C::head_size, "Width of a head.", between(1, 1 << 16), "units")
            .integer("intermediate_size", &C::intermediate_size, "Hidden units of each MLP.", size, "units")
            .required()
            .integer("vocab_size", &C::vocab_size, "Tokens of the tokenizer.", size, "tokens")
            .integer("padded_vocab_size", &C::padded_vocab_size, "Rows of the embedding.", size, "tokens")
            .integer("rope_n_elem", &C::rope_n_elem, "Numbers of a head that are turned.", size)
            .number("norm_eps", &C::norm_eps, "Added to the mean square in each norm.", at_least(0))
            .number("rope_base", &C::rope_base, "Base of the wavelengths.", more_than(0))
            .number("rotary_percentage", &C::rotary_percentage, "Share of a head that is turned.",
                    between(0, 1))
            .number("rope_condense_ratio", &C::rope_condense_ratio, "What positions are divided by.",
                    at_least(1))
            .flag("bias", &C::bias, "Biases everywhere.")
            .flag("attn_bias", &C::attn_bias, "Biases of queries, keys and values.")
            .flag("norm_qk", &C::norm_qk, "Norms of heads.")
            .flag("parallel_residual", &C::parallel_residual, "MLPs beside the attention.")
            .integer("sliding_window_size", &C::sliding_window_size, "How many tokens a query sees.",
                     between(1, kLongestSequence), "tokens")
            .integers("sliding_window_indices", &C::sliding_window_indices, "1 for a layer with a window.",
                      between(0, 1))
            .optional("rope_adjustments", &C::rope_adjustments, LitAngles::fields(),
                      "How rotary angles are stretched.");
    return table;
  }
};

/// Without what is not given, under today's names; what is not as in a Llama is a problem.
Json known_keys(const Json& json, const std::string& where, std::vector<Problem>& problems) {
  Json given = json;
  for (const auto& [old, now] :
       {std::pair("_norm_class", "norm_class_name"), std::pair("_mlp_class", "mlp_class_name")}) {
    if (!given.contains(old)) continue;
    given[now] = given.at(old);
    given.erase(old);
  }
  for (const auto& [key, plain] : plain_values()) {
    if (given.contains(key) && !given.at(key).is_null() && given.at(key) != plain) {
      problems.push_back({key_path(where, key), plain.dump() + ", as in a Llama", describe(given.at(key)),
                          "Such a model of LitGPT is not read; `litgpt convert_from_litgpt` writes Hugging "
                          "Face's names."});
    }
    given.erase(key);
  }
  for (const char* key : kPassedOver) given.erase(key);
  for (auto item = given.begin(); item != given.end();)
    item = item->is_null() ? given.erase(item) : std::next(item);  // None stands for "not given"
  return given;
}

void require_llama(const LitConfig& c, const std::string& where, std::vector<Problem>& problems) {
  const auto require = [&](bool good, const char* key, const std::string& expected,
                           const std::string& found) {
    if (!good)
      problems.push_back(
          {key_path(where, key), expected, found, "Models of LitGPT are read that compute as a Llama does."});
  };
  require(c.norm_class_name == "RMSNorm" || c.norm_class_name == "FusedRMSNorm", "norm_class_name",
          "\"RMSNorm\"", "\"" + c.norm_class_name + "\"");
  require(c.mlp_class_name == "LLaMAMLP", "mlp_class_name", "\"LLaMAMLP\"", "\"" + c.mlp_class_name + "\"");
  require(c.name.find("Gemma") == std::string::npos, "name", "no Gemma, whose gains are 1 + w",
          "\"" + c.name + "\"");
  require(!c.parallel_residual, "parallel_residual", "false", "true");
  require(c.rotary_percentage == 1, "rotary_percentage", "1", format("%g", c.rotary_percentage));
  const int64_t head = c.head_size > 0 ? c.head_size : c.n_head > 0 ? c.n_embd / c.n_head : 0;
  require(c.rope_n_elem == 0 || c.rope_n_elem == head, "rope_n_elem", std::to_string(head),
          std::to_string(c.rope_n_elem));
  require(!(c.norm_qk && (c.bias || c.attn_bias)), "norm_qk", "no biases beside it", "biases");
  const bool biased = c.bias || c.attn_bias || c.norm_qk;
  require(c.sliding_window_size == 0 || !biased, "sliding_window_size", "null beside biases and norm_qk",
          std::to_string(c.sliding_window_size));
  const auto& windows = c.sliding_window_indices;
  const size_t layers = std::min(windows.size(), static_cast<size_t>(c.n_layer));
  const bool all = std::all_of(windows.begin(), windows.begin() + static_cast<int64_t>(layers),
                               [](int64_t one) { return one == 1; });
  require(c.sliding_window_size == 0 || windows.empty() || (all && layers == static_cast<size_t>(c.n_layer)),
          "sliding_window_indices", "1 for each layer", "others");
}

Json rope_of(const LitConfig& c, const std::string& where, std::vector<Problem>& problems) {
  const auto linear = [](double factor) { return Json{{"rope_type", "linear"}, {"factor", factor}}; };
  const auto angles = c.rope_adjustments.value_or(LitAngles());
  const bool llama3 = angles.low_freq_factor || angles.high_freq_factor;
  if (!angles.factor && !llama3)
    return c.rope_condense_ratio == 1 ? Json(nullptr) : linear(c.rope_condense_ratio);
  if (c.rope_condense_ratio != 1) {
    problems.push_back({key_path(where, "rope_condense_ratio"), "1 beside rope_adjustments",
                        format("%g", c.rope_condense_ratio), ""});
  }
  if (!llama3) return linear(*angles.factor);
  if (!angles.factor || !angles.low_freq_factor || !angles.high_freq_factor || !angles.original_max_seq_len) {
    problems.push_back({key_path(where, "rope_adjustments"),
                        "factor, low_freq_factor, high_freq_factor and original_max_seq_len", "not all", ""});
    return nullptr;
  }
  return {{"rope_type", "llama3"},
          {"factor", *angles.factor},
          {"low_freq_factor", *angles.low_freq_factor},
          {"high_freq_factor", *angles.high_freq_factor},
          {"original_max_position_embeddings", static_cast<int64_t>(*angles.original_max_seq_len)}};
}

std::string type_of(const LitConfig& c) {
  if (c.sliding_window_size > 0) return "mistral";
  if (c.norm_qk) return "qwen3";
  return c.attn_bias && !c.bias ? "qwen2" : native_decoder_type();
}

/// By the keys of Hugging Face.
Json keys_of(const LitConfig& c, const Json& rope, int64_t vocabulary, const Json& beside) {
  const auto type = type_of(c);
  Json keys = {{"model_type", type},
               {"vocab_size", vocabulary},
               {"hidden_size", c.n_embd},
               {"intermediate_size", c.intermediate_size},
               {"num_hidden_layers", c.n_layer},
               {"num_attention_heads", c.n_head},
               {"num_key_value_heads", c.n_query_groups > 0 ? c.n_query_groups : c.n_head},
               {"hidden_act", "silu"},
               {"rms_norm_eps", c.norm_eps},
               {"max_position_embeddings", c.block_size},
               {"rope_theta", c.rope_base},
               {"rope_scaling", rope},
               {"bos_token_id", nullptr},
               {"eos_token_id", nullptr}};
  if (c.head_size > 0 || type == "qwen3")
    keys["head_dim"] = c.head_size > 0 ? c.head_size : c.n_embd / c.n_head;
  if (type == "qwen3") keys["attention_bias"] = false;
  if (type == "mistral") keys["sliding_window"] = c.sliding_window_size;
  if (type == native_decoder_type()) keys["attention_bias"] = keys["mlp_bias"] = c.bias;
  for (const char* key : {"bos_token_id", "eos_token_id"})
    if (beside.is_object() && beside.contains(key)) keys[key] = beside.at(key);
  return keys;
}

}  // namespace

Json read_lit_config(const StoredModel& model, std::string& where) {
  const auto yaml = model.file("model_config.yaml");
  where = yaml.empty() ? model.where("lit_config.json") : yaml.string();
  return yaml.empty() ? model.json("lit_config.json")
                      : parse_block_yaml(read_text(yaml, kLongestConfig, ExitCode::kBadInput), where);
}

DecoderConfig config_of_lit(const Json& json, const std::string& where, int64_t vocabulary,
                            const Json& beside) {
  if (!json.is_object()) throw Error(ExitCode::kBadInput, {where, "LitGPT's config", describe(json), ""});
  std::vector<Problem> problems;
  const auto c = LitConfig::fields().parse(known_keys(json, where, problems), where, problems);
  if (!problems.empty()) throw Error(ExitCode::kBadInput, problems);
  require_llama(c, where, problems);
  if (c.padded_vocab_size > 0 && c.padded_vocab_size != vocabulary) {
    problems.push_back({key_path(where, "padded_vocab_size"),
                        std::to_string(vocabulary) + " tokens, the rows of transformer.wte",
                        std::to_string(c.padded_vocab_size), "Check that both are of one model."});
  }
  const Json rope = rope_of(c, where, problems);
  if (!problems.empty()) throw Error(ExitCode::kBadInput, problems);
  return parse_decoder_config(keys_of(c, rope, vocabulary, beside), where);
}

}  // namespace bilens
