#include "bilens/model/rope_config.h"

#include <cmath>

namespace bilens {

namespace {

using Names = std::vector<std::pair<std::string, RopeScaling>>;

const Names& common_names() {
  static const Names names = {{"default", RopeScaling::kDefault},
                              {"linear", RopeScaling::kLinear},
                              {"dynamic", RopeScaling::kDynamic},
                              {"llama3", RopeScaling::kLlama3}};
  return names;
}

/// Phi-3's first checkpoints call it otherwise.
const Names& phi3_names() {
  static const Names names = {{"default", RopeScaling::kDefault},
                              {"longrope", RopeScaling::kLongRope},
                              {"su", RopeScaling::kLongRope},
                              {"yarn", RopeScaling::kLongRope}};
  return names;
}

FieldTable<RopeConfig> fields_with(const Names& names) {
  using C = RopeConfig;
  return FieldTable<C>("Rotary embedding.")
      .choice("rope_type", &C::scaling, "How angles are stretched.", names)
      .number("rope_theta", &C::theta, "Base of the wavelengths.", more_than(0))
      .number("factor", &C::factor, "How many times the trained length.", at_least(1))
      .number("low_freq_factor", &C::low_freq_factor,
              "llama3: longer wavelengths than the original length over this are stretched.", more_than(0))
      .number("high_freq_factor", &C::high_freq_factor,
              "llama3: shorter wavelengths than the original length over this are kept.", more_than(0))
      .integer("original_max_position_embeddings", &C::original_max_position_embeddings,
               "llama3: the trained length.", between(1, kLongestSequence), "tokens");
}

const FieldTable<RopeConfig>& phi3_fields() {
  using C = RopeConfig;
  static const FieldTable<C> table =
      fields_with(phi3_names())
          .numbers("short_factor", &C::short_factor, "longrope: divides the frequency of each pair.",
                   more_than(0))
          .numbers("long_factor", &C::long_factor, "The same in sequences longer than the original length.",
                   more_than(0))
          .number("attention_factor", &C::attention_factor, "longrope: multiplies what is turned.",
                  more_than(0))
          .number("partial_rotary_factor", &C::partial_rotary_factor,
                  "The share of each head that is turned.", {0.0, 1.0, true});
  return table;
}

/// What rope_scaling, or else rope_parameters, holds; and where it stands.
struct Given {
  Json inside = Json::object();
  std::string path;
  bool good = true;
};

Given given_in(const Json& json, const std::string& where, std::vector<Problem>& problems) {
  Given given;
  given.path = where;
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (!json.contains(key) || json.at(key).is_null() || json.at(key) == Json::object()) continue;
    given.path = key_path(where, key);
    given.inside = json.at(key);
    if (!given.inside.is_object()) {
      problems.push_back({given.path, "an object", describe(given.inside), ""});
      given.good = false;
      return given;
    }
  }
  auto& inside = given.inside;
  if (!inside.contains("rope_type") && inside.contains("type")) inside["rope_type"] = inside["type"];
  if (!inside.contains("rope_theta") && json.contains("rope_theta"))
    inside["rope_theta"] = json["rope_theta"];
  return given;
}

void require_keys(const Json& known, const std::vector<std::string>& names, const std::string& path,
                  std::vector<Problem>& problems) {
  for (const auto& name : names) {
    if (!known.contains(name)) problems.push_back({key_path(path, name), "a value", "none", "Add this key."});
  }
}

/// How many times the original length a longrope model is for, where its config does not say it.
double length_factor(const RopeConfig& rope, int64_t trained) {
  return static_cast<double>(trained) / static_cast<double>(rope.original_max_position_embeddings);
}

double attention_factor_of(const RopeConfig& rope) {
  const double original = std::log(static_cast<double>(rope.original_max_position_embeddings));
  return rope.factor > 1 ? std::sqrt(1 + std::log(rope.factor) / original) : 1;
}

}  // namespace

const FieldTable<RopeConfig>& rope_fields() {
  static const FieldTable<RopeConfig> table = fields_with(common_names());
  return table;
}

RopeConfig read_rope(const Json& json, int64_t trained, const std::string& where,
                     std::vector<Problem>& problems) {
  auto [inside, path, good] = given_in(json, where, problems);
  if (!good) return {};
  constexpr const char* kOriginal = "original_max_position_embeddings";
  if (json.contains(kOriginal) && !json.at(kOriginal).is_null()) inside[kOriginal] = json.at(kOriginal);
  for (const Json* object : {static_cast<const Json*>(&inside), &json}) {
    const Json partial = object->value("partial_rotary_factor", Json());
    if (!partial.is_null() && partial != 1) {
      problems.push_back({key_path(object == &json ? where : path, "partial_rotary_factor"), "1",
                          describe(partial), "Heads of this type are turned whole."});
      break;
    }
  }
  const Json known = given_members(inside, rope_fields().names());
  auto rope = rope_fields().parse(known, path, problems);
  std::vector<std::string> needed;
  if (rope.scaling != RopeScaling::kDefault) needed.push_back("factor");
  if (rope.scaling == RopeScaling::kLlama3) {
    needed.insert(needed.end(), {"low_freq_factor", "high_freq_factor"});
    if (rope.low_freq_factor >= rope.high_freq_factor && known.contains("high_freq_factor")) {
      problems.push_back({key_path(path, "high_freq_factor"), "more than low_freq_factor",
                          describe(known.at("high_freq_factor")), ""});
    }
  }
  require_keys(known, needed, path, problems);
  if (!known.contains("original_max_position_embeddings")) rope.original_max_position_embeddings = trained;
  return rope;
}

RopeConfig read_phi3_rope(const Json& json, int64_t head_dim, int64_t trained, const std::string& where,
                          std::vector<Problem>& problems) {
  bool sizes_known = problems.empty();  // no wrong head_dim beside the factors
  auto [inside, path, good] = given_in(json, where, problems);
  if (!good) return {};
  for (const char* beside : {"original_max_position_embeddings", "partial_rotary_factor"}) {
    const bool first = std::string(beside) == "original_max_position_embeddings" || !inside.contains(beside);
    if (first && json.contains(beside)) inside[beside] = json.at(beside);
  }
  const Json known = given_members(inside, phi3_fields().names());
  auto rope = phi3_fields().parse(known, path, problems);
  if (rope.scaling != RopeScaling::kLongRope) return rope;
  require_keys(known, {"short_factor", "long_factor"}, path, problems);
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
  if (!known.contains("attention_factor")) rope.attention_factor = attention_factor_of(rope);
  return rope;
}

void write_rope(const RopeConfig& rope, Json& json) {
  json["rope_theta"] = rope.theta;
  json["rope_scaling"] = nullptr;
  if (rope.scaling == RopeScaling::kDefault) return;
  for (const auto& [name, scaling] : common_names()) {
    if (scaling == rope.scaling) json["rope_scaling"] = {{"rope_type", name}, {"factor", rope.factor}};
  }
  if (rope.scaling == RopeScaling::kLlama3) {
    json["rope_scaling"]["low_freq_factor"] = rope.low_freq_factor;
    json["rope_scaling"]["high_freq_factor"] = rope.high_freq_factor;
    json["rope_scaling"]["original_max_position_embeddings"] = rope.original_max_position_embeddings;
  }
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
    json["rope_scaling"]["attention_factor"] = rope.attention_factor;
}

}  // namespace bilens
