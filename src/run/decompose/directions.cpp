#include "directions.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/analysis/forms/gram.h"
#include "bilens/core/text.h"
#include "bilens/io/tensor_expression.h"
#include "bilens/tensor/device.h"
#include "bilens/tensor/random.h"
#include "bilens/tensor/shape.h"
#include "decompose_config.h"
#include "decomposer.h"

namespace bilens {

namespace {

const Json kToken = {{"description", "A word, a piece or a number."},
                     {"anyOf", {{{"type", "string"}}, kNatural}}};
const Json kTokens = {{"type", "array"}, {"items", kToken}};
const Json kSomeTokens = list_schema("At least one token.", kToken);

struct DirectionKey {
  std::string name;
  Json schema;
  bool required = true;
};

/// The keys beside "kind" that each kind of directions has.
const std::vector<std::pair<std::string, std::vector<DirectionKey>>>& direction_kinds() {
  static const std::vector<std::pair<std::string, std::vector<DirectionKey>>> kinds = {
      {"outputs", {}},
      {"axes", {}},
      {"random", {{"count", kPositive}, {"seed", kNatural}}},
      {"file", {{"path", {{"type", "string"}}}, {"tensor", {{"type", "string"}}}}},
      {"tokens", {{"plus", kSomeTokens}, {"minus", kTokens, false}}},
      {"unembedding", {{"tokens", kSomeTokens}}},
      {"hosvd", {{"count", kPositive}}},
      {"eigenvectors",
       {{"layer", kNatural},
        {"direction", kNatural},
        {"indices", {{"type", "array"}, {"items", kNatural}}}}}};
  return kinds;
}

at::Tensor directions_from_file(const Json& spec, int64_t d_out) {
  const Weights file(spec.at("path").get<std::string>());
  const auto tensor = read_expression(file, spec.at("tensor").get<std::string>());
  require_shape(tensor, {-1, d_out}, file.path().string() + ": " + spec.at("tensor").get<std::string>());
  require_finite(tensor, file.path().string());
  return tensor.to(at::kDouble);
}

/// n‖Q̄‖² / Σ‖Q_u‖² of the forms that are decomposed, for directions before centring and their mean: the share
/// of the energy that these directions have in common. At most 1, for the mean of squares is no less than the
/// square of the mean.
double mean_energy_share(const DecomposeRunConfig& config, const SourceLayer& source,
                         const at::Tensor& rows) {
  const int64_t n = rows.size(0);
  Directions directions;
  directions.u = at::cat({rows, rows.mean(0, /*keepdim=*/true)});
  const auto squares = squared_frobenius(eigen_problem(source, directions, config));
  const double all = squares.narrow(0, 0, n).sum().item<double>(), common = squares[n].item<double>();
  return all > 0 ? std::min(static_cast<double>(n) * common / all, 1.0) : 0.0;
}

/// Directions as the file holds them, in the run's dtype: what is decomposed is what is stored.
at::Tensor as_stored(const at::Tensor& u, const std::string& dtype) {
  const auto type = parse_dtype(dtype);
  const auto stored = u.to(type).to(at::kDouble);
  const auto lost = (stored - u).abs().amax(1) > machine_epsilon(type) * u.abs().amax(1);
  if (!lost.any().item<bool>()) return stored;
  const auto row = lost.nonzero()[0].item<int64_t>();
  throw Error(ExitCode::kBadInput,
              {"directions", "numbers that " + dtype + " holds to its precision",
               "a largest entry of " + format("%.3g", u[row].abs().max().item<double>()) + " in direction " +
                   std::to_string(row),
               "Set dtype to \"float64\", or scale the directions."});
}

/// Singular vectors of the outputs' mode, as directions: what the outputs have in common comes first.
at::Tensor leading_outputs(const DecomposeRunConfig& config, const LayerSource& model,
                           const SourceLayer& source) {
  DecomposeRunConfig of_outputs = config;
  of_outputs.directions = {{"kind", "outputs"}};
  const auto outputs = choose_directions(of_outputs, model, source);
  HosvdConfig hosvd;
  hosvd.count = config.directions.at("count").get<int64_t>();
  const auto mixes = output_hosvd(eigen_problem(source, outputs, config), hosvd).vectors;
  return outputs.u.defined() ? mixes.mm(outputs.u) : mixes;
}

struct Tokens {
  at::Tensor rows;                 // unembedding rows, float64 [n, d], centred when asked for
  std::vector<std::string> names;  // n
};

Tokens find_tokens(const Json& list, const std::string& where, const Vocabulary& vocabulary, bool centred) {
  Tokens tokens;
  std::vector<int64_t> ids;
  for (size_t i = 0; i < list.size(); ++i) {
    ids.push_back(vocabulary.id_of(list[i], where + "[" + std::to_string(i) + "]"));
    tokens.names.push_back(vocabulary.name(ids.back()));
  }
  tokens.rows = vocabulary.unembedding.rows(at::tensor(ids, at::kLong));
  if (!centred) tokens.rows += vocabulary.unembedding.mean();
  return tokens;
}

/// One direction: the mean row of some tokens, less that of others.
void choose_difference(const Json& spec, const Vocabulary& vocabulary, Directions& chosen) {
  const bool centred = chosen.center == "mean";
  const auto plus = find_tokens(spec.at("plus"), "directions.plus", vocabulary, centred);
  chosen.u = plus.rows.mean(0, /*keepdim=*/true);
  chosen.names = {join(plus.names)};
  const Json others = spec.value("minus", Json::array());
  if (others.empty()) return;
  const auto minus = find_tokens(others, "directions.minus", vocabulary, centred);
  chosen.u = chosen.u - minus.rows.mean(0, /*keepdim=*/true);
  chosen.names = {join(plus.names) + " − " + join(minus.names)};
}

void choose_token_directions(const DecomposeRunConfig& config, const Vocabulary& vocabulary,
                             const SourceLayer& source, Directions& chosen) {
  chosen.center = config.center;
  if (chosen.kind == "tokens") return choose_difference(config.directions, vocabulary, chosen);
  const auto tokens = find_tokens(config.directions.at("tokens"), "directions.tokens", vocabulary, false);
  chosen.names = tokens.names;
  chosen.u = config.center == "mean" ? tokens.rows - vocabulary.unembedding.mean() : tokens.rows;
  const bool cheap = tokens.rows.size(0) >= source.layer.d_hidden() / 8;  // as in solve_eigen
  if (config.center == "mean" &&
      (config.energy == Energy::kExact || (config.energy == Energy::kAuto && cheap)))
    chosen.mean_share = mean_energy_share(config, source, tokens.rows);
}

}  // namespace

Json directions_schema() {
  std::vector<Json> options = {typed_schema("string", "A kind without keys of its own.")};
  for (const auto& [kind, keys] : direction_kinds()) {
    Json properties = {{"kind", {{"enum", {kind}}}}};
    Json required = {"kind"};
    for (const auto& key : keys) {
      properties[key.name] = key.schema;
      if (key.required) required.push_back(key.name);
    }
    options.push_back({{"type", "object"},
                       {"properties", properties},
                       {"required", required},
                       {"additionalProperties", false}});
  }
  return {
      {"description",
       "Output directions: \"outputs\" (the head's rows where the layer reaches the head linearly, else "
       "every "
       "axis), "
       "\"axes\", \"random\", \"file\" (rows of a safetensors tensor: NAME, NAME[BEGIN:END] or "
       "NAME[BEGIN:END].T), "
       "\"tokens\" (one direction: the mean unembedding row of the tokens in plus less that of those in "
       "minus; "
       "words, pieces or numbers), \"unembedding\" (one direction a token), \"hosvd\" (the outputs' leading "
       "singular "
       "vectors), \"eigenvectors\" (of another layer, top-down). A string stands for its kind."},
      {"anyOf", options}};
}

Json with_kind(const Json& directions) {
  return directions.is_string() ? Json::object({{"kind", directions}}) : directions;
}

void check_directions(const Json& directions, std::vector<Problem>& problems) {
  if (!directions.is_object() || !directions.contains("kind") || !directions.at("kind").is_string()) {
    problems.push_back({"directions", "an object with a kind", describe(directions), ""});
    return;
  }
  std::vector<std::string> kinds;
  for (const auto& [kind, keys] : direction_kinds()) {
    kinds.push_back(kind);
    if (directions.at("kind") != kind) continue;
    std::vector<std::string> names = {"kind"};
    for (const auto& key : keys) {
      names.push_back(key.name);
      if (directions.contains(key.name)) {
        check_value(directions.at(key.name), key.schema, "directions." + key.name, problems);
      } else if (key.required) {
        problems.push_back(
            {"directions." + key.name, "a value, because kind is \"" + kind + "\"", "none", ""});
      }
    }
    check_keys(directions, names, "directions", problems);
    return;
  }
  check_value(directions.at("kind"), choice_schema("", kinds), "directions.kind", problems);
}

Directions choose_directions(const DecomposeRunConfig& config, const LayerSource& model,
                             const SourceLayer& source) {
  const auto kind = config.directions.at("kind").get<std::string>();
  const int64_t d_out = source.layer.d_out();
  Directions chosen;
  chosen.kind = kind;
  if (kind == "outputs" && source.head.defined()) {
    const auto head = source.head.to(at::kDouble);
    chosen.output_is = "logits";
    chosen.center = config.center;
    chosen.u = config.center == "mean" ? head - head.mean(0, true) : head;
    if (config.center == "mean") chosen.mean_share = mean_energy_share(config, source, head);
  } else if (kind == "outputs" || kind == "axes") {
    chosen.kind = "axes";
  } else if (kind == "random") {
    const auto count = config.directions.at("count").get<int64_t>();
    const auto seed = derive_seed(config.directions.at("seed").get<uint64_t>(), "directions");
    const auto u = at::randn({count, d_out}, make_generator(at::kCPU, seed), at::dtype(at::kDouble));
    chosen.u = u / u.norm(2, {1}, true);
  } else if (kind == "file") {
    chosen.u = directions_from_file(config.directions, d_out);
  } else if (kind == "hosvd") {
    chosen.u = leading_outputs(config, model, source);
  } else if (kind == "tokens" || kind == "unembedding") {
    choose_token_directions(config, *model.vocabulary, source, chosen);
  }
  if (chosen.u.defined()) chosen.u = as_stored(chosen.u, config.dtype);
  return chosen;
}

}  // namespace bilens
