#include "directions_config.h"

namespace bilens {

namespace {

using Table = FieldTable<DirectionsConfig>;

struct Kind {
  DirectionKind kind;
  Table keys;  // beside "kind"

  std::string name() const { return RecordValue<DirectionKind>::write(kind).get<std::string>(); }
};

const std::vector<Kind>& kinds() {
  using C = DirectionsConfig;
  const auto natural = [](Table table, const char* name, int64_t C::*member, const char* meaning) {
    return table.integer(name, member, meaning, at_least(0)).required();
  };
  const auto count = [](Table table) {
    return table.integer("count", &C::count, "How many.", between(1, 1e6)).required();
  };
  const auto tokens = [](Table table, const char* name, std::vector<TokenName> C::*member, int64_t least,
                         const char* meaning) {
    return table.custom(name, member, token_names_schema(meaning, least), read_token_names,
                        write_token_names);
  };
  static const std::vector<Kind> all = {
      {DirectionKind::kOutputs, Table("")},
      {DirectionKind::kAxes, Table("")},
      {DirectionKind::kRandom, natural(count(Table("")), "seed", &C::seed, "Of the random numbers.")},
      {DirectionKind::kFile, Table("")
                                 .text("path", &C::path, "A weight file, or a folder of them.")
                                 .required()
                                 .text("tensor", &C::tensor, "NAME, NAME[BEGIN:END] or NAME[BEGIN:END].T.")
                                 .required()},
      {DirectionKind::kTokens,
       tokens(tokens(Table(""), "plus", &C::plus, 1, "Whose mean row is taken.").required(), "minus",
              &C::minus, 0, "Whose mean row is subtracted.")},
      {DirectionKind::kUnembedding,
       tokens(Table(""), "tokens", &C::tokens, 1, "Each a direction.").required()},
      {DirectionKind::kHosvd, count(Table(""))},
      {DirectionKind::kEigenvectors,
       natural(natural(Table(""), "layer", &C::layer, "The other layer."), "direction", &C::direction,
               "Of that layer, counted from 0.")
           .integers("indices", &C::indices, "Of that direction's eigenvectors, counted from 0.", at_least(0))
           .required()}};
  return all;
}

const Kind& row_of(DirectionKind kind) {
  for (const auto& row : kinds())
    if (row.kind == kind) return row;
  throw std::logic_error("a kind of directions without a row");
}

}  // namespace

Json directions_schema() {
  std::vector<Json> options = {typed_schema("string", "A kind without keys of its own.")};
  for (const auto& kind : kinds()) {
    Json schema = kind.keys.schema();
    Json properties = {{"kind", {{"enum", {kind.name()}}}}}, required = {"kind"};
    properties.update(schema["properties"]);
    for (const auto& name : schema.value("required", Json::array())) required.push_back(name);
    schema.erase("description");
    schema["properties"] = properties, schema["required"] = required;
    options.push_back(schema);
  }
  return {
      {"description",
       "Output directions: \"outputs\" (the head's rows where the layer reaches the head linearly, else "
       "every axis), \"axes\", \"random\", \"file\" (rows of a safetensors tensor: NAME, NAME[BEGIN:END] "
       "or NAME[BEGIN:END].T), \"tokens\" (one direction: the mean unembedding row of the tokens in plus "
       "less that of those in minus; words, pieces or numbers), \"unembedding\" (one direction a token), "
       "\"hosvd\" (the outputs' leading singular vectors), \"eigenvectors\" (of another layer, top-down). "
       "A string stands for its kind."},
      {"anyOf", options}};
}

DirectionsConfig read_directions(const Json& given, const std::string& where,
                                 std::vector<Problem>& problems) {
  const Json object = given.is_string() ? Json::object({{"kind", given}}) : given;
  if (!object.is_object() || !object.contains("kind") || !object.at("kind").is_string()) {
    problems.push_back({where, "an object with a kind", describe(given), ""});
    return {};
  }
  std::vector<std::string> names;
  for (const auto& kind : kinds()) {
    names.push_back(kind.name());
    if (object.at("kind") != kind.name()) continue;
    Json rest = object;
    rest.erase("kind");
    auto directions = kind.keys.parse(rest, where, problems);
    directions.kind = kind.kind;
    return directions;
  }
  check_value(object.at("kind"), choice_schema("", names), key_path(where, "kind"), problems);
  return {};
}

Json write_directions(const DirectionsConfig& directions) {
  const auto& kind = row_of(directions.kind);
  Json object = {{"kind", kind.name()}};
  object.update(kind.keys.dump(directions));
  return object;
}

}  // namespace bilens
