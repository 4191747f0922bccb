#include "paper_config.h"

namespace bilens {

namespace {

using Problems = std::vector<Problem>;

bool read_flag_or(bool otherwise, const Json& value, const std::string& where, Problems& problems) {
  if (value.is_null()) return otherwise;
  if (value.is_boolean()) return value.get<bool>();
  problems.push_back({where, "true or false", describe(value), ""});
  return otherwise;
}

bool true_unless_given(const Json& value, const std::string& where, Problems& problems) {
  return read_flag_or(true, value, where, problems);
}

bool false_unless_given(const Json& value, const std::string& where, Problems& problems) {
  return read_flag_or(false, value, where, problems);
}

std::optional<bool> read_paper_flag(const Json& value, const std::string& where, Problems& problems) {
  return value.is_null() ? std::nullopt : std::optional(read_flag_or(false, value, where, problems));
}

/// What is neither null, false, 0 nor "" is refused, with the reason.
bool refuse_unless_off(const Json& value, const std::string& where, const char* reason, Problems& problems) {
  const bool on = !(value.is_null() || value == false || value == 0 || value == Json(""));
  if (on) problems.push_back({where, "null or false", value.dump(), reason});
  return on;
}

bool read_no_norm(const Json& value, const std::string& where, Problems& problems) {
  return refuse_unless_off(value, where, "Image classifiers here have no norms.", problems);
}

bool read_no_second_order(const Json& value, const std::string& where, Problems& problems) {
  return refuse_unless_off(value, where, "A Llama has no second-order attention.", problems);
}

bool read_rms_norms(const Json& value, const std::string& where, Problems& problems) {
  if (value == true) return true;
  problems.push_back({where, "true", value.dump(), "A Llama has RMS norms."});
  return false;
}

bool read_bilinear(const Json& value, const std::string& where, Problems& problems) {
  const bool bilinear = true_unless_given(value, where, problems);
  if (!bilinear) problems.push_back({where, "true", "false", "An MLP of one factor is no gated MLP."});
  return bilinear;
}

Gate read_paper_gate(const Json& value, const std::string& where, Problems& problems) {
  if (value.is_null() || value == false) return Gate::kNone;
  if (value == true) return Gate::kRelu;
  for (const auto& [name, gate] : gate_names())
    if (value == name) return gate;
  problems.push_back({where, "null, \"relu\", \"silu\" or \"gelu\"", value.dump(), ""});
  return Gate::kNone;
}

/// A size that the weights tell too.
std::optional<int64_t> read_known_size(const Json& value, const std::string& where, Problems& problems) {
  if (value.is_null()) return std::nullopt;
  if (check_value(value, integer_schema("", {}, ""), where, problems)) return value.get<int64_t>();
  return std::nullopt;
}

std::optional<int64_t> read_paper_size(const Json& value, const std::string& where, Problems& problems) {
  if (value.is_null()) return std::nullopt;
  if (value.is_number_integer() && value >= 1) return value.get<int64_t>();
  problems.push_back({where, "a positive integer", value.dump(), ""});
  return std::nullopt;
}

std::optional<int64_t> read_paper_token(const Json& value, const std::string&, Problems&) {
  return value.is_number_integer() && value >= 0 ? std::optional(value.get<int64_t>()) : std::nullopt;
}

template <class T>
Json write_paper_value(const T& value) {
  if constexpr (std::is_same_v<T, Gate>) {
    return gate_name(value);
  } else if constexpr (std::is_same_v<T, bool>) {
    return value;
  } else {
    return value ? Json(*value) : Json();
  }
}

/// Adds a key whose reader says itself what is wrong.
template <class C, class T>
void add_key(FieldTable<C>& table, const char* name, T C::*member, const char* meaning,
             T (*read)(const Json&, const std::string&, Problems&)) {
  table.custom(name, member, Json{{"description", meaning}}, read, write_paper_value<T>);
}

}  // namespace

const FieldTable<PaperMlp>& PaperMlp::fields() {
  using C = PaperMlp;
  static const auto table = [] {
    FieldTable<C> keys("What the papers' code says of its MLPs.");
    add_key(keys, "bilinear", &C::bilinear, "Whether MLPs have two factors.", read_bilinear);
    add_key(keys, "gate", &C::gate, "What is applied to the first factor.", read_paper_gate);
    return keys;
  }();
  return table;
}

const FieldTable<PaperClassifierConfig>& PaperClassifierConfig::fields() {
  using C = PaperClassifierConfig;
  static const auto table = [] {
    FieldTable<C> keys("config.json of the papers' image classifiers.");
    keys.all_of(PaperMlp::fields());
    add_key(keys, "residual", &C::residual, "Adds each MLP's input to its output.", false_unless_given);
    add_key(keys, "normalization", &C::normalization, "Norms in front of the MLPs.", read_no_norm);
    add_key(keys, "rms_norm", &C::rms_norm, "The same in an early version.", read_no_norm);
    add_key(keys, "d_input", &C::d_input, "Pixels of an image.", read_known_size);
    add_key(keys, "d_output", &C::d_output, "Number of classes.", read_known_size);
    add_key(keys, "d_hidden", &C::d_hidden, "Hidden units of each MLP.", read_known_size);
    add_key(keys, "n_layer", &C::n_layer, "Number of MLPs.", read_known_size);
    add_key(keys, "bias", &C::bias, "Biases in the MLPs' projections.", read_paper_flag);
    return keys;
  }();
  return table;
}

const FieldTable<PaperTransformerConfig>& PaperTransformerConfig::fields() {
  using C = PaperTransformerConfig;
  static const auto table = [] {
    FieldTable<C> keys("config.json of the papers' language models.");
    keys.all_of(PaperMlp::fields());
    add_key(keys, "attention2", &C::attention2, "Attention of the second order.", read_no_second_order);
    add_key(keys, "normalization", &C::normalization, "RMS norms in front of attention and MLPs.",
            read_rms_norms);
    add_key(keys, "scale_attn", &C::scale_attn, "Divides the attention's output by the root of 2 n_layer.",
            true_unless_given);
    add_key(keys, "d_model", &C::d_model, "Width of the residual stream.", read_paper_size);
    add_key(keys, "d_hidden", &C::d_hidden, "Hidden units of each MLP.", read_paper_size);
    add_key(keys, "n_layer", &C::n_layer, "Number of layers.", read_paper_size);
    add_key(keys, "n_head", &C::n_head, "Heads of each layer.", read_paper_size);
    add_key(keys, "n_ctx", &C::n_ctx, "Longest sequence trained for.", read_paper_size);
    add_key(keys, "bos_token_id", &C::bos_token_id, "Token that begins a text.", read_paper_token);
    add_key(keys, "eos_token_id", &C::eos_token_id, "Token that ends a text.", read_paper_token);
    return keys;
  }();
  return table;
}

bool has_own_keys(const Json& config) {
  return config.is_object() && config.contains("d_hidden") && config.contains("n_layer");
}

Json members_of_paper_config(const StoredModel& model, const std::vector<std::string>& names) {
  const Json& keys = model.json("config.json");
  if (keys.is_null() || !(has_own_keys(keys) || model.is_directory())) return nullptr;
  if (!keys.is_object())
    throw Error(ExitCode::kBadInput, {model.where("config.json"), "an object", describe(keys), ""});
  Json given = Json::object();
  for (const auto& name : names)
    if (keys.contains(name)) given[name] = keys.at(name);
  return given;
}

}  // namespace bilens
