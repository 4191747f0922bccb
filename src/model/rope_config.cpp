#include "bilens/model/rope_config.h"

#include <cmath>
#include <iterator>

namespace bilens {

namespace {

const RopeNames& common_names() {
  static const RopeNames names = {{"default", RopeScaling::kDefault},
                                  {"linear", RopeScaling::kLinear},
                                  {"dynamic", RopeScaling::kDynamic},
                                  {"llama3", RopeScaling::kLlama3},
                                  {"yarn", RopeScaling::kYarn}};
  return names;
}

/// What some models add to yarn, and no model of ours has.
void refuse_other_yarns(const Json& given, const std::string& path, std::vector<Problem>& problems) {
  const auto value = [&](const char* key) { return given.value(key, Json()); };
  if (!value("mscale").is_null() && !value("mscale_all_dim").is_null() &&
      value("attention_factor").is_null()) {
    problems.push_back(
        {key_path(path, "attention_factor"), "a number beside mscale and mscale_all_dim", "none", ""});
  }
  const Json truncated = given.value("truncate", Json(true));
  if (truncated != Json(true) && !truncated.is_null())
    problems.push_back({key_path(path, "truncate"), "true", describe(truncated), ""});
}

}  // namespace

FieldTable<RopeConfig> rope_fields_with(const RopeNames& names) {
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
               "llama3, yarn: the trained length.", between(1, kLongestSequence), "tokens");
}

GivenRope given_rope(const Json& json, const std::string& where, std::vector<Problem>& problems) {
  GivenRope given;
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

void require_rope_keys(const Json& known, const std::vector<std::string>& names, const std::string& path,
                       std::vector<Problem>& problems) {
  for (const auto& name : names) {
    if (!known.contains(name)) problems.push_back({key_path(path, name), "a value", "none", "Add this key."});
  }
}

double attention_factor(const RopeConfig& rope) {
  if (rope.scaling == RopeScaling::kYarn)
    return rope.attention_factor.value_or(0.1 * std::log(rope.factor) + 1);
  return rope.scaling == RopeScaling::kLongRope ? rope.attention_factor.value_or(1.0) : 1.0;
}

const FieldTable<RopeConfig>& rope_fields() {
  using C = RopeConfig;
  static const FieldTable<C> table =
      rope_fields_with(common_names())
          .number("beta_fast", &C::beta_fast,
                  "yarn: pairs that turn more often in the original length are kept.", more_than(0))
          .number("beta_slow", &C::beta_slow,
                  "yarn: pairs that turn less often in the original length are stretched by the factor.",
                  more_than(0))
          .optional_number("attention_factor", &C::attention_factor,
                           "yarn: multiplies the turned numbers; null: 0.1 ln(factor) + 1.", more_than(0));
  return table;
}

void check_yarn(const RopeConfig& rope, const Json& given, const std::string& path,
                std::vector<Problem>& problems) {
  if (rope.beta_fast < rope.beta_slow) {
    problems.push_back(
        {key_path(path, "beta_fast"), "at least beta_slow", describe(Json(rope.beta_fast)), ""});
  }
  refuse_other_yarns(given, path, problems);
}

RopeConfig read_rope(const Json& json, int64_t trained, const std::string& where,
                     std::vector<Problem>& problems) {
  auto [inside, path, good] = given_rope(json, where, problems);
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
  for (auto it = inside.begin(); it != inside.end();) it = it->is_null() ? inside.erase(it) : std::next(it);
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
  if (rope.scaling == RopeScaling::kYarn) check_yarn(rope, inside, path, problems);
  require_rope_keys(known, needed, path, problems);
  if (!known.contains("original_max_position_embeddings")) rope.original_max_position_embeddings = trained;
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
  if (rope.scaling == RopeScaling::kYarn) {
    auto& written = json["rope_scaling"];
    // transformers takes max_position_embeddings where it is absent, and some releases of version 4 take the
    // ratio of both for the factor where it is not.
    if (Json(rope.original_max_position_embeddings) != json.value("max_position_embeddings", Json()))
      written["original_max_position_embeddings"] = rope.original_max_position_embeddings;
    written["beta_fast"] = rope.beta_fast, written["beta_slow"] = rope.beta_slow;
    if (rope.attention_factor) written["attention_factor"] = *rope.attention_factor;
  }
}

}  // namespace bilens
