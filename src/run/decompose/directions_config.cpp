#include "directions_config.h"

#include "bilens/core/kind_table.h"

namespace bilens {

namespace {

using Table = FieldTable<DirectionsConfig>;

Table table_of(DirectionKind kind) {
  return Table("").choice("kind", &DirectionsConfig::kind, "Which directions.", {{record_name(kind), kind}});
}

Table with_natural(Table table, const char* name, int64_t DirectionsConfig::*member, const char* meaning) {
  return table.integer(name, member, meaning, at_least(0)).required();
}

Table with_count(Table table) {
  return table.integer("count", &DirectionsConfig::count, "How many.", between(1, 1e6)).required();
}

Table random_directions() {
  return with_natural(with_count(table_of(DirectionKind::kRandom)), "seed", &DirectionsConfig::seed,
                      "Seed of the random numbers.");
}

const KindTable<DirectionsConfig>& kinds_of_directions() {
  using C = DirectionsConfig;
  using Kind = DirectionKind;
  const auto tokens = [](Table table, const char* name, std::vector<TokenName> C::*member, int64_t least,
                         const char* meaning) {
    return table.custom(name, member, token_names_schema(meaning, least), read_token_names,
                        write_token_names);
  };
  static const auto all =
      KindTable<C>("kind")
          .kind(table_of(Kind::kOutputs))
          .kind(table_of(Kind::kAxes))
          .kind(random_directions())
          .kind(table_of(Kind::kFile)
                    .text("path", &C::path, "A weight file, or a folder of them.")
                    .required()
                    .text("tensor", &C::tensor, "NAME, NAME[BEGIN:END] or NAME[BEGIN:END].T.")
                    .required())
          .kind(tokens(tokens(table_of(Kind::kTokens), "plus", &C::plus, 1, "Tokens whose mean row is taken.")
                           .required(),
                       "minus", &C::minus, 0, "Tokens whose mean row is subtracted."))
          .kind(tokens(table_of(Kind::kUnembedding), "tokens", &C::tokens, 1,
                       "Tokens, each of which gives a direction.")
                    .required())
          .kind(with_count(table_of(Kind::kHosvd)))
          .kind(with_natural(
                    with_natural(table_of(Kind::kEigenvectors), "layer", &C::layer, "The other layer."),
                    "direction", &C::direction, "Direction of that layer, counted from 0.")
                    .integers("indices", &C::indices, "Eigenvectors of that direction, counted from 0.",
                              at_least(0))
                    .required());
  return all;
}

}  // namespace

Json directions_schema() {
  std::vector<Json> options = {typed_schema("string", "A kind without keys of its own.")};
  options.insert(options.end(), kinds_of_directions().schemas().begin(),
                 kinds_of_directions().schemas().end());
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
  return kinds_of_directions().read(given, where, problems).value_or(DirectionsConfig());
}

Json write_directions(const DirectionsConfig& directions) { return kinds_of_directions().write(directions); }

void set_seed_of_directions(Json& directions, int64_t seed) {
  const auto table = random_directions();
  const Json* kind = table.find(directions, &DirectionsConfig::kind);
  if (kind != nullptr && *kind == Json(record_name(DirectionKind::kRandom)))
    directions[table.name_of(&DirectionsConfig::seed)] = seed;
}

}  // namespace bilens
