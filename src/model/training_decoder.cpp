#include "bilens/model/training_decoder.h"

#include <algorithm>
#include <map>
#include <set>

#include "bilens/model/family.h"

namespace bilens {

namespace {

/// What config.json says and a training config does not: another place says it, or nobody needs it.
constexpr const char* kNotChosen[] = {"architectures", "model_type", "torch_dtype", "pad_token_id"};

std::vector<std::string> other_types() {
  auto types = decoder_types();
  std::erase(types, native_decoder_type());
  return types;
}

/// The sizes of a Llama, for those that a config leaves out.
Json default_sizes() {
  const Json all = DecoderConfig::architecture_fields().dump({});
  return given_members(
      all, {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"});
}

/// The two tokens are the tokenizer's where they are not given, so they are no part of the shape.
void take_tokens(Json& shape, DecoderConfig& chosen, const std::string& where,
                 std::vector<Problem>& problems) {
  Json tokens = Json::object();
  for (const char* key : {"bos_token_id", "eos_token_id"}) {
    if (shape.contains(key)) tokens[key] = shape.at(key);
    shape[key] = nullptr;
  }
  const auto read = DecoderConfig::training_fields().parse(tokens, where, problems);
  chosen.bos_given = read.bos_given, chosen.eos_given = read.eos_given;
}

DecoderConfig read_other_type(const Json& value, const std::string& where, std::vector<Problem>& problems) {
  Json shape = default_sizes();
  shape.update(value);
  shape.erase("type");
  shape["model_type"] = value.at("type");
  for (const char* key : {"rope_theta", "rope_scaling", "rope_parameters"})  // null: the type's
    if (shape.contains(key) && shape.at(key).is_null()) shape.erase(key);
  DecoderConfig tokens;
  take_tokens(shape, tokens, where, problems);
  try {
    auto config = parse_decoder_config(shape, where);
    config.bos_given = tokens.bos_given, config.eos_given = tokens.eos_given;
    std::set<std::string> known = {"rope_parameters"};
    const Json written = write_training_decoder(config);
    for (const auto& item : written.items()) known.insert(item.key());
    const auto own_keys = family_of_type(config.type)->own_keys;
    if (own_keys != nullptr)
      for (const auto& name : own_keys().names()) known.insert(name);
    check_keys(value, {known.begin(), known.end()}, where, problems);
    return config;
  } catch (const Error& error) {
    problems.insert(problems.end(), error.problems().begin(), error.problems().end());
    return {};
  }
}

/// One of the native type. Its yarn names the lengths, which have no default that is right for all models.
DecoderConfig read_native(const Json& value, const std::string& where, std::vector<Problem>& problems) {
  const auto config = DecoderConfig::training_fields().parse(value, where, problems);
  if (config.rope.scaling != RopeScaling::kYarn) return config;
  const Json given = value.value("rope", Json::object());
  const std::string path = key_path(where, "rope");
  check_yarn(config.rope, given, path, problems);
  require_rope_keys(given, {"factor", "original_max_position_embeddings"}, path, problems);
  return config;
}

}  // namespace

DecoderConfig read_training_decoder(const Json& value, const std::string& where,
                                    std::vector<Problem>& problems) {
  const auto types = other_types();
  const Json type = value.value("type", Json(native_decoder_type()));
  const std::string name = type.is_string() ? type.get<std::string>() : "";
  if (std::find(types.begin(), types.end(), name) != types.end())
    return read_other_type(value, where, problems);
  if (name == native_decoder_type()) return read_native(value, where, problems);
  problems.push_back(
      {key_path(where, "type"), "one of \"" + join(decoder_types(), "\", \"") + "\"", describe(type), ""});
  return {};
}

Json write_training_decoder(const DecoderConfig& config) {
  const Json tokens = DecoderConfig::training_fields().dump(config);
  if (config.type == native_decoder_type()) return tokens;
  Json json = {{"type", config.type}};
  json.update(decoder_config_json(config));
  for (const char* key : kNotChosen) json.erase(key);
  json.erase(family_of_type(config.type)->other_act_key);  // which would be passed over
  for (const char* key : {"bos_token_id", "eos_token_id"}) json[key] = tokens.at(key);
  return json;
}

Json training_decoder_schema() {
  Json schema = DecoderConfig::training_fields().schema();
  schema["description"] =
      "A decoder: a Llama, or by \"type\" another of the types with the keys and defaults of "
      "Hugging Face's config.json of that type.";
  auto& properties = schema["properties"];
  properties["type"]["enum"] = decoder_types();
  std::map<std::string, std::vector<std::string>> types_with;
  const auto add = [&](const std::string& name, const Json& about, const std::string& type) {
    if (!properties.contains(name)) properties[name] = about;
    types_with[name].push_back(type);
  };
  for (const auto& type : other_types()) {
    const auto& family = *family_of_type(type);
    const Json own =
        family.own_keys == nullptr ? Json::object() : family.own_keys().schema().at("properties");
    for (const auto& item : own.items()) add(item.key(), item.value(), type);
    Json theta =
        number_schema("Base of the rotary embedding's wavelengths; null: the type's.", more_than(0), "");
    theta["type"] = Json::array({"number", "null"});
    theta["default"] = nullptr;
    add("rope_theta", theta, type);
    for (const char* name : {"rope_scaling", "rope_parameters"}) {
      add(name,
          {{"type", {"object", "null"}},
           {"description", "How the angles are stretched."},
           {"default", nullptr}},
          type);
    }
  }
  for (const auto& [name, types] : types_with) {
    auto& meaning = properties[name]["description"].get_ref<std::string&>();
    meaning += " Only for type " + join(types) + ".";
  }
  return schema;
}

}  // namespace bilens
