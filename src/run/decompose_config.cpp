#include "bilens/run/decompose_config.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/analysis/gram.h"
#include "bilens/data/image_dataset.h"
#include "bilens/io/weight_names.h"
#include "bilens/tensor/device.h"
#include "bilens/tensor/device_memory.h"
#include "bilens/tensor/random.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace {

Json any_of(const std::string& meaning, std::vector<Json> options) {
  return {{"description", meaning}, {"anyOf", std::move(options)}};
}

const Json kNatural = {{"type", "integer"}, {"minimum", 0}};
const Json kPositive = {{"type", "integer"}, {"minimum", 1}};

const Json kToken = any_of("A word, a piece or a number.", {{{"type", "string"}}, kNatural});
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

Json directions_schema() {
  std::vector<Json> options;
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
  return any_of(
      "Output directions: \"outputs\" (the head's rows where the layer reaches the head linearly, else every "
      "axis), "
      "\"axes\", \"random\", \"file\" (rows of a safetensors tensor: NAME, NAME[BEGIN:END] or "
      "NAME[BEGIN:END].T), "
      "\"tokens\" (one direction: the mean unembedding row of the tokens in plus less that of those in "
      "minus; "
      "words, pieces or numbers), \"unembedding\" (one direction a token), \"hosvd\" (the outputs' leading "
      "singular "
      "vectors), \"eigenvectors\" (of another layer, top-down).",
      options);
}

at::Tensor directions_from_file(const Json& spec, int64_t d_out) {
  const Weights file(spec.at("path").get<std::string>());
  const auto tensor = read_expression(file, spec.at("tensor").get<std::string>());
  require_shape(tensor, {-1, d_out}, file.path().string() + ": " + spec.at("tensor").get<std::string>());
  require_finite(tensor, file.path().string());
  return tensor.to(at::kDouble);
}

/// n‖Q̄‖² / Σ‖Q_u‖², the share of the energy that is common to all directions and changes no probability.
double mean_energy_share(const SourceLayer& source, const at::Tensor& head, const at::Tensor& mean) {
  const int64_t n = head.size(0);
  const auto squares = squared_frobenius({source.layer, source.embed, at::cat({head, mean})});
  const double all = squares.narrow(0, 0, n).sum().item<double>(), common = squares[n].item<double>();
  return all > 0 ? static_cast<double>(n) * common / all : 0.0;
}

/// Singular vectors of the outputs' mode, as directions: what the outputs have in common comes first.
at::Tensor leading_outputs(const DecomposeRunConfig& config, const LayerSource& model,
                           const SourceLayer& source) {
  DecomposeRunConfig of_outputs = config;
  of_outputs.directions = {{"kind", "outputs"}};
  const auto outputs = choose_directions(of_outputs, model, source).u;
  HosvdConfig hosvd;
  hosvd.count = config.directions.at("count").get<int64_t>();
  const auto embed = config.input_space == "input" ? source.embed : at::Tensor();
  const auto mixes = output_hosvd({source.layer, embed, outputs}, hosvd).vectors;
  return outputs.defined() ? mixes.mm(outputs) : mixes;
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
  const auto mean = vocabulary.unembedding.mean().unsqueeze(0);
  chosen.names = tokens.names;
  chosen.u = config.center == "mean" ? tokens.rows - mean : tokens.rows;
  const bool cheap = tokens.rows.size(0) >= source.layer.d_hidden() / 8;  // as in solve_eigen
  if (config.center == "mean" &&
      (config.energy == Energy::kExact || (config.energy == Energy::kAuto && cheap)))
    chosen.mean_share = mean_energy_share(source, tokens.rows, mean);
}

}  // namespace

DecomposeRunConfig::DecomposeRunConfig() = default;

const FieldTable<DecomposeRunConfig>& DecomposeRunConfig::fields() {
  using C = DecomposeRunConfig;
  const auto words = [](std::initializer_list<const char*> list) {
    std::vector<std::pair<std::string, std::string>> pairs;
    for (const char* word : list) pairs.emplace_back(word, word);
    return pairs;
  };
  static const FieldTable<C> table =
      FieldTable<C>("Config of `bilens decompose`.")
          .json("layers", &C::layers,
                any_of("Which layers.", {{{"enum", {"all"}}}, {{"type", "array"}, {"items", kNatural}}}))
          .json("directions", &C::directions, directions_schema())
          .choice(
              "method", &C::method,
              "\"eigen\": eigenvectors of each direction's interaction matrix; \"hosvd\": singular vectors "
              "of the "
              "whole tensor; \"sparse_eigen\": vectors of few entries; \"rotate\": a sparse basis of each "
              "eigenspace; \"joint\": one orthogonal basis for all directions; \"cp\": terms shared by all "
              "directions.",
              words({"eigen", "hosvd", "sparse_eigen", "rotate", "joint", "cp"}))
          .nested("hosvd", &C::hosvd, HosvdConfig::fields())
          .nested("sparse_eigen", &C::sparse_eigen, SparseEigenConfig::fields())
          .nested("rotate", &C::rotate, RotationConfig::fields())
          .nested("joint", &C::joint, JointConfig::fields())
          .nested("cp", &C::cp, CpConfig::fields())
          .choice("solver", &C::solver,
                  "How: \"dense\" forms Q, \"low_rank\" reduces directions of few hidden units, \"lanczos\" "
                  "never "
                  "forms Q, \"formed\" is Lanczos on Q; \"auto\" the cheapest (see --dry-run).",
                  std::vector<std::pair<std::string, EigenSolver>>{{"auto", EigenSolver::kAuto},
                                                                   {"dense", EigenSolver::kDense},
                                                                   {"low_rank", EigenSolver::kLowRank},
                                                                   {"lanczos", EigenSolver::kLanczos},
                                                                   {"formed", EigenSolver::kFormed}})
          .json("k", &C::k,
                any_of("Eigenpairs (or vectors, or factors of a mode) a direction, by falling |lambda|; "
                       "clipped to the "
                       "dimension.",
                       {kPositive, {{"enum", {"all"}}}}))
          .choice("input_space", &C::input_space,
                  "\"input\": of an image classifier's first layer, over the pixels; \"model\": over the "
                  "MLP's own input.",
                  words({"input", "model"}))
          .flag("fold_norm", &C::fold_norm, "Folds an RMSNorm's gain into the layer behind it.")
          .flag("traceless", &C::traceless,
                "Takes the trace off, Q - (tr Q / d) I: behind a norm, where |x|^2 is d, that changes the "
                "outputs by "
                "constants alone, so Q is known only up to it.")
          .choice("dtype", &C::dtype, "What is computed in.", words({"float32", "float64"}))
          .optional_number("tolerance", &C::tolerance,
                           "Largest residual of a converged direction; null: 5e-6 or 1e-10 by dtype.",
                           more_than(0.0), "spectral norms")
          .choice(
              "center", &C::center,
              "Subtracts the mean of the head's rows: what is common to all classes changes no probability.",
              words({"mean", "none"}))
          .flag("probe", &C::probe, "Looks for eigenpairs that an iterative solver missed, and adds them.")
          .flag("certify", &C::certify,
                "Proves a bound on all eigenvalues that are not listed; forms Q in float64.")
          .choice("energy", &C::energy,
                  "Whether to state the share of the Frobenius norm; \"auto\": where it is cheap.",
                  std::vector<std::pair<std::string, Energy>>{
                      {"auto", Energy::kAuto}, {"exact", Energy::kExact}, {"off", Energy::kOff}})
          .choice("effective_rank", &C::effective_rank,
                  "\"known\": stated where the whole spectrum is; \"estimate\": elsewhere from random "
                  "probes, with its "
                  "standard error.",
                  words({"known", "estimate"}))
          .json("memory_limit", &C::memory_limit,
                any_of("Bytes for the matrices in work; \"auto\": a quarter of what is free on the device.",
                       {{{"type", "integer"}, {"minimum", 1 << 20}}, {{"enum", {"auto"}}}}))
          .nested("weights", &C::weights, WeightMap::fields())
          .choice(
              "surrogate", &C::surrogate,
              "What stands for a gated layer that is not bilinear: \"none\", it is refused; \"half\", its "
              "bilinear part, with gate_proj halved; \"calibrated\", the line nearest to each unit's "
              "activation on "
              "the text of the analyses, on as many tokens as \"corpus\" reads, behind those.",
              std::vector<std::pair<std::string, Surrogate>>{{"none", Surrogate::kNone},
                                                             {"half", Surrogate::kHalf},
                                                             {"calibrated", Surrogate::kCalibrated}})
          .text("tokenizer", &C::tokenizer,
                "SentencePiece model that names the tokens; empty: the one beside the model's weights.")
          .json("data", &C::data,
                any_of("Images or text for the analyses, as in a training config; null: what the model was "
                       "trained on.",
                       {{{"type", "null"}}, {{"type", "object"}}}))
          .json("analyses", &C::analyses,
                {{"type", "array"},
                 {"items", {{"enum", {"truncation", "exactness", "importance", "tokens", "corpus"}}}},
                 {"description",
                  "Studies of the model with its decomposition: on the test images, or (\"tokens\") which "
                  "tokens the eigenvectors of a language model are near to, and which interact, or "
                  "(\"corpus\") "
                  "what they contribute on text."}})
          .nested("tokens", &C::tokens, TokenStudyConfig::fields())
          .nested("corpus", &C::corpus, CorpusStudyConfig::fields())
          .text("device", &C::device, "auto, cpu, cuda or cuda:N.")
          .integer("threads", &C::threads, "CPU threads; 0: one a core.", between(0, 4096), "threads");
  return table;
}

void DecomposeRunConfig::check(std::vector<Problem>& problems) const {
  if (weights.given() && (wants_analysis("corpus") || surrogate == Surrogate::kCalibrated)) {
    problems.push_back({"weights", "none with the analysis \"corpus\" or a calibrated surrogate",
                        "tensor names", "Which layer of the running model they are is not known."});
  }
  if (corpus.loss_tokens == 1)
    problems.push_back({"corpus.loss_tokens", "0, or at least 2 tokens", "1", "One has none to predict."});
  if (wants_analysis("tokens") && !fold_norm) {
    problems.push_back({"fold_norm", "true for the analysis \"tokens\"", "false",
                        "Tokens are vectors before the norm's gain, and so must the eigenvectors be."});
  }
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

void DecomposeRunConfig::check_model(const LayerSource& source) const {
  const bool classifier =
      source.classifier || std::any_of(source.layers.begin(), source.layers.end(),
                                       [](const auto& layer) { return layer.embed.defined(); });
  if (!traceless || !classifier) return;
  throw Error(
      ExitCode::kUsage,
      {"traceless", "a model whose MLPs are behind norms", source.path.string() + ", an image classifier",
       "The length of its inputs varies, so without the trace it is another model."});
}

bool DecomposeRunConfig::wants_layer(int64_t number) const {
  return layers.is_string() || std::find(layers.begin(), layers.end(), Json(number)) != layers.end();
}

bool DecomposeRunConfig::wants_analysis(const std::string& name) const {
  return std::find(analyses.begin(), analyses.end(), Json(name)) != analyses.end();
}

bool DecomposeRunConfig::needs_vocabulary() const {
  const Json kind = directions.value("kind", Json());
  return kind == "tokens" || kind == "unembedding" || wants_analysis("tokens");
}

EigenConfig DecomposeRunConfig::eigen(int64_t dimension) const {
  EigenConfig eigen;
  eigen.k = k.is_string() ? dimension : std::min(k.get<int64_t>(), dimension);
  eigen.dtype = parse_dtype(dtype);
  eigen.solver = solver;
  eigen.tolerance = tolerance;
  eigen.probe = probe;
  eigen.certify = certify;
  eigen.energy = energy;
  eigen.estimate_rank = effective_rank == "estimate";
  eigen.memory_limit =
      memory_limit.is_string() ? free_memory(choose_device(device)) / 4 : memory_limit.get<int64_t>();
  return eigen;
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
    if (config.center == "mean") chosen.mean_share = mean_energy_share(source, head, head.mean(0, true));
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
  return chosen;
}

LayerSource load_layers(const std::filesystem::path& path, const DecomposeRunConfig& config) {
  auto source = load_layers(path, config.source());
  if (config.needs_vocabulary())
    source.vocabulary = open_vocabulary(path, config.tokenizer, config.fold_norm);
  return source;
}

}  // namespace bilens
