#include <cmath>

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

/// The first checkpoints call longrope otherwise.
const RopeNames& phi3_scalings() {
  static const RopeNames names = {{"default", RopeScaling::kDefault},
                                  {"longrope", RopeScaling::kLongRope},
                                  {"su", RopeScaling::kLongRope},
                                  {"yarn", RopeScaling::kLongRope}};
  return names;
}

const FieldTable<RopeConfig>& phi3_rope_fields() {
  using C = RopeConfig;
  static const FieldTable<C> table =
      rope_fields_with(phi3_scalings())
          .numbers("short_factor", &C::short_factor, "longrope: divides the frequency of each pair.",
                   more_than(0))
          .numbers("long_factor", &C::long_factor, "The same in sequences longer than the original length.",
                   more_than(0))
          .optional_number("attention_factor", &C::attention_factor,
                           "longrope: multiplies the turned numbers; null: by the lengths.", more_than(0))
          .number("partial_rotary_factor", &C::partial_rotary_factor,
                  "The share of each head that is turned.", {0.0, 1.0, true});
  return table;
}

/// How many times the original length a longrope model is for, where its config does not say it.
double length_factor(const RopeConfig& rope, int64_t trained) {
  return static_cast<double>(trained) / static_cast<double>(rope.original_max_position_embeddings);
}

double attention_factor_of(const RopeConfig& rope) {
  const double original = std::log(static_cast<double>(rope.original_max_position_embeddings));
  return rope.factor > 1 ? std::sqrt(1 + std::log(rope.factor) / original) : 1;
}

/// Phi-3 has longrope, and turns a part of each head.
/// @param head_dim a head's width @param trained max_position_embeddings
RopeConfig read_phi3_rope(const Json& json, int64_t head_dim, int64_t trained, const std::string& where,
                          std::vector<Problem>& problems) {
  bool sizes_known = problems.empty();  // no wrong head_dim beside the factors
  auto [inside, path, good] = given_rope(json, where, problems);
  if (!good) return {};
  for (const char* beside : {"original_max_position_embeddings", "partial_rotary_factor"}) {
    const bool first = std::string(beside) == "original_max_position_embeddings" || !inside.contains(beside);
    if (first && json.contains(beside)) inside[beside] = json.at(beside);
  }
  const Json known = given_members(inside, phi3_rope_fields().names());
  auto rope = phi3_rope_fields().parse(known, path, problems);
  if (rope.scaling != RopeScaling::kLongRope) return rope;
  require_rope_keys(known, {"short_factor", "long_factor"}, path, problems);
  if (rope.original_max_position_embeddings < 2) {
    problems.push_back({key_path(where, "original_max_position_embeddings"), "at least 2 tokens",
                        std::to_string(rope.original_max_position_embeddings), ""});
  }
  constexpr const char* kPartial = "partial_rotary_factor";
  if (known.contains(kPartial) && known.at(kPartial) != Json(rope.partial_rotary_factor)) sizes_known = false;
  const auto pairs = static_cast<size_t>(static_cast<double>(head_dim) * rope.partial_rotary_factor) / 2;
  const auto check = [&](const char* name, const std::vector<double>& factors) {
    if (!sizes_known || factors.empty() || factors.size() == pairs) return;  // empty: said above
    problems.push_back({key_path(path, name),
                        std::to_string(pairs) + " numbers, one for each pair that is turned",
                        std::to_string(factors.size()), ""});
  };
  check("short_factor", rope.short_factor);
  check("long_factor", rope.long_factor);
  if (!known.contains("factor")) rope.factor = length_factor(rope, trained);
  if (!rope.attention_factor) rope.attention_factor = attention_factor_of(rope);
  return rope;
}

void write_phi3_rope(const RopeConfig& rope, int64_t trained, Json& json) {
  RopeConfig plain;
  plain.theta = rope.theta;
  write_rope(plain, json);
  json["partial_rotary_factor"] = rope.partial_rotary_factor;
  json["original_max_position_embeddings"] = rope.original_max_position_embeddings;
  if (rope.scaling != RopeScaling::kLongRope) return;
  json["rope_scaling"] = {
      {"type", "longrope"}, {"short_factor", rope.short_factor}, {"long_factor", rope.long_factor}};
  // transformers 4 takes no other keys: these alone where they are not what follows from the rest.
  auto derived = rope;
  derived.factor = length_factor(rope, trained);
  if (rope.attention_factor != attention_factor_of(derived))
    json["rope_scaling"]["attention_factor"] = *rope.attention_factor;
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
