#include "bilens/model/decoder_config.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "bilens/model/family.h"
#include "bilens/model/model_directory.h"

namespace bilens {

namespace {

const std::vector<std::pair<std::string, at::ScalarType>>& dtype_names() {
  static const std::vector<std::pair<std::string, at::ScalarType>> names = {
      {"float32", at::kFloat}, {"bfloat16", at::kBFloat16}, {"float16", at::kHalf}, {"float64", at::kDouble}};
  return names;
}

template <class T>
std::string name_of(const std::vector<std::pair<std::string, T>>& names, T value) {
  for (const auto& [name, known] : names) {
    if (known == value) return name;
  }
  throw std::logic_error("a value without a name");
}

/// A token id, in the vocabulary; nullopt for null.
std::optional<int64_t> parse_token(const Json& value, int64_t vocabulary, const std::string& where,
                                   std::vector<Problem>& problems) {
  if (value.is_null()) return std::nullopt;
  if (!check_value(value, integer_schema("", between(0, static_cast<double>(vocabulary - 1)), ""), where,
                   problems)) {
    return std::nullopt;
  }
  return value.get<int64_t>();
}

void parse_tokens(const Json& json, const std::string& where, DecoderConfig& config,
                  std::vector<Problem>& problems) {
  // transformers' defaults need not be in a small vocabulary.
  if (config.vocab_size <= 1) config.bos_token_id.reset();
  if (config.vocab_size <= 2) config.eos_token_id.clear();
  if (json.contains("bos_token_id")) {
    config.bos_token_id =
        parse_token(json["bos_token_id"], config.vocab_size, key_path(where, "bos_token_id"), problems);
  }
  if (json.contains("eos_token_id")) {
    const Json& value = json["eos_token_id"];
    const std::string path = key_path(where, "eos_token_id");
    config.eos_token_id.clear();
    for (const Json& one : value.is_array() ? value : Json::array({value})) {
      const auto token = parse_token(one, config.vocab_size, path, problems);
      if (token) config.eos_token_id.push_back(*token);
    }
  }
}

/// The tokens that end a text, as a training config names them: one, a list, or null.
std::optional<std::vector<int64_t>> read_ends(const Json& value, const std::string&, std::vector<Problem>&) {
  if (value.is_null()) return std::nullopt;
  if (value.is_array()) return value.get<std::vector<int64_t>>();
  return std::vector<int64_t>{value.get<int64_t>()};
}

Json write_ends(const std::optional<std::vector<int64_t>>& ends) {
  if (!ends) return nullptr;
  return ends->size() == 1 ? Json(ends->front()) : Json(*ends);
}

void parse_dtype(const Json& json, const std::string& where, DecoderConfig& config,
                 std::vector<Problem>& problems) {
  for (const char* key : {"torch_dtype", "dtype"}) {
    if (!json.contains(key) || json.at(key).is_null()) continue;
    std::vector<std::string> names;
    for (const auto& item : dtype_names()) names.push_back(item.first);
    if (!check_value(json.at(key), choice_schema("", names), key_path(where, key), problems)) continue;
    for (const auto& [name, dtype] : dtype_names()) {
      if (json.at(key) == name) config.dtype = dtype;
    }
  }
}

/// The keys of a family's config.json, but for those of the rotary embedding.
FieldTable<DecoderConfig> keys_of(const Family& family) {
  FieldTable<DecoderConfig> table(family.name);
  table.all_of(DecoderConfig::architecture_fields());
  if (family.own_keys != nullptr) table.all_of(family.own_keys());
  return table;
}

/// Their names.
std::vector<std::string> names_of(const Family& family) {
  auto names = keys_of(family).names();
  std::erase_if(names, [&](const auto& name) {
    return name == "type" || name == "rope" ||
           std::find(family.lacks.begin(), family.lacks.end(), name) != family.lacks.end();
  });
  return names;
}

/// Those that are given; what is absent is as in transformers.
Json given_keys(const Family& family, const Json& json) {
  const auto names = names_of(family);
  Json given = given_members(family.defaults, names);
  given.update(given_members(json, names));
  const auto is_null = [&](const char* key) { return json.contains(key) && json.at(key).is_null(); };
  for (const char* key :
       {"num_key_value_heads", "head_dim",  // by the other keys
        "sliding_window", "query_pre_attn_scalar", "attn_logit_softcapping", "final_logit_softcapping"})
    if (is_null(key)) given.erase(key);
  const Json act = given.value(family.act_key, Json());
  if (family.gelu_is_tanh && act == "gelu") given[family.act_key] = "gelu_pytorch_tanh";
  if (act == kActByLayer) given.erase(family.act_key);
  return given;
}

DecoderConfig parse_hugging_face(const Family& family, const Json& json, const std::string& where) {
  std::vector<Problem> problems;
  auto config = keys_of(family).parse(given_keys(family, json), where, problems);
  config.type = json.at("model_type");
  const auto acts = read_layer_acts(json, family.act_key, config.num_hidden_layers, where, problems);
  if (acts) config.set_gates(*acts);
  for (const char* name :
       {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"}) {
    if (!json.contains(name) && !family.defaults.contains(name)) {
      problems.push_back({key_path(where, name), "a value", "none", "Add this key."});
    }
  }
  Json whole = family.defaults;
  for (const char* token : {"bos_token_id", "eos_token_id"})  // a small vocabulary need not have them
    if (whole.contains(token) && whole[token] >= config.vocab_size) whole[token] = nullptr;
  whole.update(json);
  if (family.read_rope != nullptr) {
    family.read_rope(whole, config, where, problems);
  } else {
    config.rope = read_rope(whole, config.max_position_embeddings, where, problems);
  }
  parse_tokens(whole, where, config, problems);
  parse_dtype(json, where, config, problems);
  if (problems.empty()) config.resolve(where, problems);
  if (problems.empty() && family.complete != nullptr) family.complete(config, where, problems);
  if (!problems.empty()) throw Error(ExitCode::kBadInput, problems);
  return config;
}

/// Whether the head of a model with a text part is its embedding. transformers reads this key of the whole
/// alone, where null is false, and passes over that of the part.
bool ties_embeddings(const Json& whole, const std::string& where) {
  const Json tied = whole.value("tie_word_embeddings", Json(true));
  if (tied.is_boolean() || tied.is_null()) return tied == true;
  throw Error(ExitCode::kBadInput,
              {key_path(where, "tie_word_embeddings"), "true, false or null", describe(tied), ""});
}

/// The config of a text part, from that of the whole.
Json text_config(const Family& family, const Json& whole, const std::string& where) {
  Json part = whole.value("text_config", Json::object());
  const auto at = key_path(where, "text_config");
  if (!part.is_object()) throw Error(ExitCode::kBadInput, {at, "an object", describe(part), ""});
  const Json& inner = part.emplace("model_type", family.types.front()).first.value();
  if (inner != family.types.front()) {
    throw Error(ExitCode::kBadInput, {key_path(at, "model_type"), "\"" + family.types.front() + "\"",
                                      describe(inner), "Others are not read as a part."});
  }
  part["tie_word_embeddings"] = ties_embeddings(whole, where);
  return part;
}

}  // namespace

Json window_schema() {
  Json schema = integer_schema("The last tokens that a query sees, its own among them; null: all.",
                               between(1, kLongestSequence), "tokens");
  schema["type"] = Json::array({"integer", "null"});
  return schema;
}

const FieldTable<DecoderConfig>& DecoderConfig::architecture_fields() {
  using C = DecoderConfig;
  static const FieldTable<C> table =
      FieldTable<C>("A decoder, with the keys of Hugging Face's config.json.")
          .choice("type", &C::type, "Kind of model.", {{native_decoder_type(), native_decoder_type()}})
          .integer("vocab_size", &C::vocab_size, "Number of tokens.", between(1, kLargestSize), "tokens")
          .integer("hidden_size", &C::hidden_size, "Width of the residual stream.", between(1, kLargestSize),
                   "units")
          .integer("intermediate_size", &C::intermediate_size, "Hidden units of each MLP.",
                   between(1, kLargestSize), "units")
          .integer("num_hidden_layers", &C::num_hidden_layers, "Number of layers.", between(1, 10000),
                   "layers")
          .integer("num_attention_heads", &C::num_attention_heads, "Query heads of each layer.",
                   between(1, 1 << 16), "heads")
          .integer("num_key_value_heads", &C::num_key_value_heads,
                   "Key and value heads of each layer; 0: as many as query heads.", between(0, 1 << 16),
                   "heads")
          .integer("head_dim", &C::head_dim, "Width of a head; 0: hidden_size over num_attention_heads.",
                   between(0, 1 << 16), "units")
          .choice("hidden_act", &C::hidden_act,
                  "Nonlinearity of the MLPs' gate; \"linear\" is the bilinear layer.", hidden_act_names())
          .number("rms_norm_eps", &C::rms_norm_eps, "Added to the mean square in each norm.", at_least(0))
          .integer("max_position_embeddings", &C::max_position_embeddings, "Longest sequence trained for.",
                   between(1, kLongestSequence), "tokens")
          .flag("attention_bias", &C::attention_bias, "Biases in the attention's projections.")
          .flag("mlp_bias", &C::mlp_bias, "Biases in the MLPs' projections.")
          .flag("tie_word_embeddings", &C::tie_word_embeddings, "The head is the embedding.")
          .number("initializer_range", &C::initializer_range, "Standard deviation of new weights.",
                  at_least(0))
          .nested("rope", &C::rope, rope_fields());
  return table;
}

const FieldTable<DecoderConfig>& DecoderConfig::training_fields() {
  static const FieldTable<DecoderConfig> table = [] {
    auto fields = architecture_fields();
    Json bos =
        integer_schema("Token that begins a document; null: the tokenizer's, or none.", at_least(0), "");
    bos["type"] = Json::array({"integer", "null"});
    const std::string meaning =
        "Token that ends a text, or a list of them; null: the tokenizer's EOS and BOS, or none.";
    const Json id = integer_schema("", at_least(0), "");
    const Json eos = {{"anyOf", {id, list_schema("", id), typed_schema("null", "")}},
                      {"description", meaning}};
    fields.value_or("bos_token_id", &DecoderConfig::bos_given, nullptr, bos)
        .custom("eos_token_id", &DecoderConfig::eos_given, eos, read_ends, write_ends);
    return fields;
  }();
  return table;
}

std::vector<int64_t> DecoderConfig::gated_layers() const {
  std::vector<int64_t> gated;
  for (int64_t layer = 0; layer < num_hidden_layers; ++layer)
    if (gate_of(layer) != Gate::kNone) gated.push_back(layer);
  return gated;
}

void DecoderConfig::set_gates(const std::vector<Gate>& gates) {
  hidden_act = Gate::kNone;
  for (const auto gate : gates)
    if (gate != Gate::kNone) hidden_act = gate;
  const bool differ = std::adjacent_find(gates.begin(), gates.end(), std::not_equal_to<>()) != gates.end();
  layer_acts = differ ? gates : std::vector<Gate>();
}

void DecoderConfig::choose_tokens(std::optional<int64_t> bos, const std::vector<int64_t>& eos,
                                  const std::string& where, std::vector<Problem>& problems) {
  bos_token_id = bos;
  eos_token_id = eos;
  Json given = Json::object();
  if (bos_given) given["bos_token_id"] = *bos_given;
  if (eos_given) given["eos_token_id"] = *eos_given;
  parse_tokens(given, where, *this, problems);
}

void DecoderConfig::resolve(const std::string& where, std::vector<Problem>& problems) {
  const auto check = [&](bool good, const char* key, const std::string& expected, int64_t found) {
    if (!good) problems.push_back({key_path(where, key), expected, std::to_string(found), ""});
  };
  const std::string heads = std::to_string(num_attention_heads);
  if (num_key_value_heads == 0) num_key_value_heads = num_attention_heads;
  // transformers asks for this also where head_dim is given.
  check(hidden_size % num_attention_heads == 0, "hidden_size",
        "a multiple of num_attention_heads (" + heads + ")", hidden_size);
  if (head_dim == 0) head_dim = hidden_size / num_attention_heads;
  check(num_attention_heads % num_key_value_heads == 0, "num_key_value_heads",
        "a divisor of num_attention_heads (" + heads + ")", num_key_value_heads);
  check(rotary_dim() > 0 && rotary_dim() % 2 == 0 && rotary_dim() <= head_dim, "head_dim",
        rope.partial_rotary_factor == 1 ? "an even number, because the rotary embedding turns pairs"
                                        : "an even number of turned units, because they are turned in pairs",
        rotary_dim());
  if (rope.scaling == RopeScaling::kDynamic) {
    check(head_dim > 2, "head_dim", "more than 2 for dynamic scaling", head_dim);
  }
}

std::vector<std::pair<std::string, std::vector<int64_t>>> DecoderConfig::parameter_shapes() const {
  std::vector<std::pair<std::string, std::vector<int64_t>>> shapes;
  const auto projection = [&](const std::string& name, int64_t out, int64_t in, bool bias) {
    shapes.push_back({name + ".weight", {out, in}});
    if (bias) shapes.push_back({name + ".bias", {out}});
  };
  const int64_t queries = num_attention_heads * head_dim, keys = num_key_value_heads * head_dim;
  const bool of_heads = query_key_norms == QueryKeyNorms::kHeads;
  const auto names = norm_names();
  shapes.push_back({"model.embed_tokens.weight", {vocab_size, hidden_size}});
  for (int64_t i = 0; i < num_hidden_layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    const auto norm = [&](const std::string& name) {
      if (!name.empty()) shapes.push_back({layer + name + ".weight", {hidden_size}});
    };
    norm(names.before_attention);
    projection(layer + "self_attn.q_proj", queries, hidden_size, attention_bias);
    projection(layer + "self_attn.k_proj", keys, hidden_size, attention_bias);
    projection(layer + "self_attn.v_proj", keys, hidden_size, attention_bias);
    projection(layer + "self_attn.o_proj", hidden_size, queries, attention_bias && output_bias);
    if (query_key_norms != QueryKeyNorms::kNone) {
      shapes.push_back({layer + "self_attn.q_norm.weight", {of_heads ? head_dim : queries}});
      shapes.push_back({layer + "self_attn.k_norm.weight", {of_heads ? head_dim : keys}});
    }
    norm(names.behind_attention);
    norm(names.before_mlp);
    projection(layer + "mlp.gate_proj", intermediate_size, hidden_size, mlp_bias);
    projection(layer + "mlp.up_proj", intermediate_size, hidden_size, mlp_bias);
    projection(layer + "mlp.down_proj", hidden_size, intermediate_size, mlp_bias);
    norm(names.behind_mlp);
  }
  shapes.push_back({"model.norm.weight", {hidden_size}});
  if (!tie_word_embeddings) shapes.push_back({"lm_head.weight", {vocab_size, hidden_size}});
  return shapes;
}

std::vector<std::string> DecoderConfig::parts_of(const std::string& stored) const {
  for (const auto& [fused, parts] : family_of_type(type)->fused) {
    const auto at = stored.find(fused + ".");
    if (at == std::string::npos) continue;
    std::vector<std::string> names;
    for (const auto& part : parts) names.push_back(std::string(stored).replace(at, fused.size(), part));
    return names;
  }
  return {stored};
}

std::vector<std::pair<std::string, std::vector<int64_t>>> DecoderConfig::stored_shapes() const {
  std::vector<std::pair<std::string, std::vector<int64_t>>> shapes;
  for (const auto& [name, shape] : parameter_shapes()) {
    auto stored = name;
    bool follows = false;  // part of a tensor that is listed
    for (const auto& [fused, parts] : family_of_type(type)->fused) {
      for (const auto& part : parts) {
        if (const auto at = name.find(part + "."); at != std::string::npos) {
          stored.replace(at, part.size(), fused);
          follows = part != parts.front();
        }
      }
    }
    if (follows) {
      shapes.back().second[0] += shape[0];
    } else {
      shapes.emplace_back(stored, shape);
    }
  }
  return shapes;
}

NormNames DecoderConfig::norm_names() const {
  const auto& family = *family_of_type(type);
  return {family.before_attention, family.behind_attention, family.norms->before, family.norms->behind};
}

AttentionHeads DecoderConfig::heads() const {
  AttentionHeads heads{num_attention_heads, num_key_value_heads, head_dim};
  if (query_pre_attn_scalar) heads.scale = 1 / std::sqrt(static_cast<double>(*query_pre_attn_scalar));
  if (caps_scores) heads.soft_cap = attn_logit_softcapping.value_or(0);
  return heads;
}

int64_t DecoderConfig::rotary_dim() const {
  return static_cast<int64_t>(static_cast<double>(head_dim) * rope.partial_rotary_factor);
}

bool DecoderConfig::may_have_mlp_bias() const {
  const auto& lacks = family_of_type(type)->lacks;
  return std::find(lacks.begin(), lacks.end(), "mlp_bias") == lacks.end();
}

int64_t DecoderConfig::parameter_count() const {
  int64_t count = 0;
  for (const auto& [name, shape] : parameter_shapes()) {
    count += std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  }
  return count;
}

DecoderConfig parse_decoder_config(const Json& json, const std::string& where) {
  if (!json.is_object()) throw Error(ExitCode::kBadInput, {where, "an object", describe(json), ""});
  const Json type = json.value("model_type", Json());
  const auto* part = type.is_string() ? text_part_of(type.get<std::string>()) : nullptr;
  if (part != nullptr)
    return parse_hugging_face(*part, text_config(*part, json, where), key_path(where, "text_config"));
  const auto* family = type.is_string() ? family_of_type(type.get<std::string>()) : nullptr;
  if (family != nullptr && family->is_computed) return parse_hugging_face(*family, json, where);
  throw Error(ExitCode::kBadInput,
              {key_path(where, "model_type"), "\"" + join(decoder_types(), "\", \"") + "\"",
               type.is_null() ? "none" : describe(type), "Decoders of these types are computed here."});
}

DecoderConfig read_decoder_config(const StoredModel& model) {
  read_model_type(model);  // refuses what is no model directory
  return parse_decoder_config(model.json("config.json"), model.where("config.json"));
}

Json decoder_config_json(const DecoderConfig& c) {
  const auto& family = *family_of_type(c.type);
  Json json = {{"architectures", {family.architecture}}, {"model_type", c.type}};
  const Json fields = keys_of(family).dump(c);
  for (const auto& name : names_of(family)) json[name] = fields.at(name);
  for (const char* list : {"layer_types", "no_rope_layers"})
    if (json.contains(list) && json.at(list).empty()) json.erase(list);
  if (family.write_rope != nullptr) {
    family.write_rope(c, json);
  } else {
    write_rope(c.rope, json);
  }
  if (!c.layer_acts.empty()) {
    json[family.act_key] = kActByLayer;
    json[kLayerActs] = layer_acts_json(c.layer_acts);
  }
  if (!family.other_act_key.empty()) json[family.other_act_key] = json.at(family.act_key);
  json["bos_token_id"] = c.bos_token_id ? Json(*c.bos_token_id) : Json(nullptr);
  json["eos_token_id"] = c.eos_token_id.size() == 1 ? Json(c.eos_token_id.front()) : Json(c.eos_token_id);
  if (c.eos_token_id.empty()) json["eos_token_id"] = nullptr;
  if (family.defaults.contains("pad_token_id")) json["pad_token_id"] = nullptr;  // not what the class has
  json["torch_dtype"] = name_of(dtype_names(), c.dtype);
  return json;
}

}  // namespace bilens
