#include "decompose_config.h"

#include <algorithm>

#include "bilens/tensor/device_memory.h"
#include "studies.h"

namespace bilens {

namespace {

const Json kPositive = {{"type", "integer"}, {"minimum", 1}};

Json any_of(const std::string& meaning, std::vector<Json> options) {
  return {{"description", meaning}, {"anyOf", std::move(options)}};
}

std::string meaning_of_methods() {
  std::vector<std::string> meanings;
  for (const auto& method : methods()) meanings.push_back("\"" + method.name + "\": " + method.meaning);
  return join(meanings, "; ");
}

std::vector<std::pair<std::string, const Method*>> names_of_methods() {
  std::vector<std::pair<std::string, const Method*>> names;
  for (const auto& method : methods()) names.emplace_back(method.name, &method);
  return names;
}

std::vector<std::pair<std::string, std::optional<Gate>>> names_of_gates() {
  std::vector<std::pair<std::string, std::optional<Gate>>> names = {{"auto", std::nullopt}};
  names.insert(names.end(), gate_names().begin(), gate_names().end());
  return names;
}

std::vector<std::pair<std::string, std::optional<SurrogateKind>>> names_of_surrogates() {
  std::vector<std::pair<std::string, std::optional<SurrogateKind>>> names = {{"none", std::nullopt}};
  for (const auto& [name, kind] : record_names(SurrogateKind())) names.emplace_back(name, kind);
  return names;
}

std::vector<std::pair<std::string, Analysis>> names_of_analyses() {
  std::vector<std::pair<std::string, Analysis>> names;
  for (const auto* study : studies())
    names.insert(names.end(), study->analyses.begin(), study->analyses.end());
  return names;
}

}  // namespace

DecomposeRunConfig::DecomposeRunConfig() = default;

const FieldTable<DecomposeRunConfig>& DecomposeRunConfig::fields() {
  using C = DecomposeRunConfig;
  static const FieldTable<C> table =
      FieldTable<C>("Config of `bilens decompose`.")
          .integer("format_version", &C::format_version, "Version of this file's format.", between(1, 1))
          .all_or_some("layers", &C::layers, "Which layers.")
          .custom("directions", &C::directions, directions_schema(), read_directions, write_directions)
          .choice("method", &C::method, meaning_of_methods() + ".", names_of_methods())
          .all_of(MethodOptions::fields())
          .choice("solver", &C::solver,
                  "How: \"dense\" forms Q, \"low_rank\" reduces directions of few hidden units, \"lanczos\" "
                  "never "
                  "forms Q, \"formed\" is Lanczos on Q; \"auto\" the cheapest (see --dry-run).",
                  std::vector<std::pair<std::string, EigenSolver>>{{"auto", EigenSolver::kAuto},
                                                                   {"dense", EigenSolver::kDense},
                                                                   {"low_rank", EigenSolver::kLowRank},
                                                                   {"lanczos", EigenSolver::kLanczos},
                                                                   {"formed", EigenSolver::kFormed}})
          .value_or("k", &C::k, "all",
                    any_of("Eigenpairs (or vectors, or factors of a mode) a direction, by falling |lambda|; "
                           "clipped to the "
                           "dimension.",
                           {kPositive, {{"enum", {"all"}}}}))
          .choice("input_space", &C::over_inputs,
                  "\"input\": of an image classifier's first layer, over the pixels; \"model\": over the "
                  "MLP's own input.",
                  std::vector<std::pair<std::string, bool>>{{"input", true}, {"model", false}})
          .flag("fold_norm", &C::fold_norm,
                "Folds the norms around an MLP into it, by the model's type; false: the spectrum over the "
                "MLP's own "
                "input.")
          .flag("traceless", &C::traceless,
                "Takes the trace off, Q - (tr Q / d) I: behind a norm, where |x|^2 is d, that changes the "
                "outputs by "
                "constants alone, so Q is known only up to it.")
          .choice(
              "weighting", &C::weighting,
              "\"data\": eigenpairs of each form as the model's own inputs vary, by their covariance over "
              "the training images or over text. As many tokens of a text count as \"corpus\" reads, those "
              "behind them.",
              std::vector<std::pair<std::string, Weighting>>{{"none", Weighting::kNone},
                                                             {"data", Weighting::kData}})
          .choice("dtype", &C::dtype, "What is computed in.",
                  std::vector<std::pair<std::string, at::ScalarType>>{{"float32", at::kFloat},
                                                                      {"float64", at::kDouble}})
          .optional_number("tolerance", &C::tolerance,
                           "Largest residual of a converged direction; null: 5e-6 or 1e-10 by dtype.",
                           more_than(0.0), "spectral norms")
          .choice(
              "center", &C::centred,
              "Subtracts the mean of the head's rows: what is common to all classes changes no probability.",
              std::vector<std::pair<std::string, bool>>{{"mean", true}, {"none", false}})
          .flag("probe", &C::probe, "Looks for eigenpairs that an iterative solver missed, and adds them.")
          .flag("certify", &C::certify,
                "Proves a bound on all eigenvalues that are not listed; forms Q in float64.")
          .choice("energy", &C::energy,
                  "Whether to state the share of the Frobenius norm; \"auto\": where it is cheap.",
                  std::vector<std::pair<std::string, Energy>>{
                      {"auto", Energy::kAuto}, {"exact", Energy::kExact}, {"off", Energy::kOff}})
          .choice("effective_rank", &C::estimate_rank,
                  "\"known\": stated where the whole spectrum is; \"estimate\": elsewhere from random "
                  "probes, with its "
                  "standard error.",
                  std::vector<std::pair<std::string, bool>>{{"known", false}, {"estimate", true}})
          .value_or(
              "memory_limit", &C::memory_limit, "auto",
              any_of("Bytes for the matrices in work; \"auto\": a quarter of what is free on the device.",
                     {{{"type", "integer"}, {"minimum", 1 << 20}}, {{"enum", {"auto"}}}}))
          .nested("weights", &C::weights, WeightMap::fields())
          .choice("gate", &C::gate,
                  "What the gate is, where nothing beside the weights says it; \"none\": the layers are "
                  "bilinear.",
                  names_of_gates())
          .choice(
              "surrogate", &C::surrogate,
              "What stands for a gated layer that is not bilinear: \"none\", it is refused; \"half\", its "
              "bilinear part, with gate_proj halved; \"calibrated\", the bilinear units nearest to its "
              "own on the text of the analyses, on as many tokens as \"corpus\" reads, behind those.",
              names_of_surrogates())
          .text("tokenizer", &C::tokenizer,
                "SentencePiece model or tokenizer.json that names the tokens; empty: the one beside the "
                "model's weights.")
          .custom("data", &C::data, given_data_schema(), read_given_data, write_given_data)
          .choices("analyses", &C::analyses,
                   "Studies of the model with its decomposition: on the test images, or (\"tokens\") which "
                   "tokens the eigenvectors of a language model are near to, and which interact, or "
                   "(\"corpus\") what they contribute on text.",
                   names_of_analyses())
          .nested("tokens", &C::tokens, TokenStudyConfig::fields())
          .nested("corpus", &C::corpus, CorpusStudyConfig::fields())
          .custom("device", &C::device, device_schema(), read_device, write_device)
          .integer("threads", &C::threads, "CPU threads; 0: one for each processor that may be used.",
                   between(0, kMostThreads), "threads");
  return table;
}

void DecomposeRunConfig::check(std::vector<Problem>& problems) const {
  check_weight_map(weights, problems);
  if ((weights.names_layers() || !weights.norm.empty()) &&
      (wants(Analysis::kCorpus) || surrogate == SurrogateKind::kCalibrated)) {
    problems.push_back({"weights", "none with the analysis \"corpus\" or a calibrated surrogate",
                        "tensor names", "Which layer of the running model they are is not known."});
  }
  if (certify && !method->finds_pairs) {
    problems.push_back({"certify", "false with method \"" + method->name + "\"", "true",
                        "Bounds are proved for eigenvalues."});
  }
  if (is_weighted()) check_weighting(problems);
  if (corpus.loss_tokens == 1)
    problems.push_back({"corpus.loss_tokens", "0, or at least 2 tokens", "1", "One has none to predict."});
  if (wants(Analysis::kTokens) && !fold_norm) {
    problems.push_back({"fold_norm", "true for the analysis \"tokens\"", "false",
                        "Tokens are vectors before the norm's gain, and so must the eigenvectors be."});
  }
}

void DecomposeRunConfig::check_weighting(std::vector<Problem>& problems) const {
  if (weights.names_layers() || !weights.norm.empty()) {
    problems.push_back({"weighting", "\"none\" for layers that somebody named", "\"data\"",
                        "Which layers of a running model they are is not known."});
  }
  const std::string with = " with weighting \"data\"";
  const auto refuse = [&](bool wrong, const std::string& key, const std::string& expected,
                          const std::string& found, const std::string& fix) {
    if (wrong) problems.push_back({key, expected + with, found, fix});
  };
  refuse(method->name != kEigen, "method", "\"eigen\"", "\"" + method->name + "\"",
         "Only eigenpairs are weighted.");
  refuse(traceless, "traceless", "false", "true", "Which shift is taken is chosen by the data.");
  refuse(directions.kind == DirectionKind::kEigenvectors, "directions", "no \"eigenvectors\"",
         "\"eigenvectors\"", "Those of the layer above are not weighted.");
  refuse(energy == Energy::kOff, "energy", "\"auto\" or \"exact\"", "\"off\"", "Shares need the norm.");
  const std::string unweighted = "It is of eigenpairs that are not weighted: decompose for it apart.";
  refuse(wants(Analysis::kTokens), "analyses", "no \"tokens\"", "\"tokens\"", unweighted);
  refuse(wants(Analysis::kCorpus), "analyses", "no \"corpus\"", "\"corpus\"", unweighted);
}

void DecomposeRunConfig::check_model(const LayerSource& source) const {
  const auto require_layer = [&](int64_t number, const std::string& where) {
    const bool there = std::any_of(source.layers.begin(), source.layers.end(),
                                   [&](const auto& layer) { return number == layer.number; });
    if (there) return;
    std::vector<std::string> numbers;
    for (const auto& layer : source.layers) numbers.push_back(std::to_string(layer.number));
    throw Error(ExitCode::kUsage,
                {where, "one of the layers of " + source.model.path().string() + " (" + join(numbers) + ")",
                 std::to_string(number), ""});
  };
  for (const int64_t number : layers.value_or(std::vector<int64_t>())) require_layer(number, "layers");
  if (directions.kind == DirectionKind::kEigenvectors) require_layer(directions.layer, "directions.layer");
  if (!traceless || !(source.over_inputs || source.raw_stream)) return;
  throw Error(ExitCode::kUsage,
              {"traceless", "MLPs behind norms that are folded in",
               source.model.path().string() + (source.over_inputs
                                                   ? ", an image classifier, or a stack behind an embedding"
                                                   : ", whose MLPs read inputs of any length"),
               "The length of its inputs varies, so without the trace it is another model."});
}

bool DecomposeRunConfig::wants_layer(int64_t number) const {
  return !layers || std::find(layers->begin(), layers->end(), number) != layers->end();
}

bool DecomposeRunConfig::wants(Analysis analysis) const {
  return std::find(analyses.begin(), analyses.end(), analysis) != analyses.end();
}

bool DecomposeRunConfig::needs_vocabulary() const {
  return directions.kind == DirectionKind::kTokens || directions.kind == DirectionKind::kUnembedding ||
         wants(Analysis::kTokens);
}

EigenConfig DecomposeRunConfig::eigen(int64_t dimension) const {
  EigenConfig eigen;
  eigen.k = std::min(k.value_or(dimension), dimension);
  eigen.dtype = dtype;
  eigen.solver = solver;
  eigen.tolerance = tolerance;
  eigen.probe = probe;
  eigen.certify = certify;
  eigen.energy = energy;
  eigen.estimate_rank = estimate_rank;
  eigen.memory_limit = memory_limit ? *memory_limit : free_memory(choose_device(device)) / 4;
  return eigen;
}

LayerSource load_layers(const StoredModel& model, const DecomposeRunConfig& config) {
  auto source = load_layers(model, config.source());
  if (!config.needs_vocabulary()) return source;
  const auto& decoder = source.decoder.emplace(open_language_model(source.model));
  source.vocabulary = read_vocabulary(decoder, find_tokenizer(decoder, config.tokenizer), config.fold_norm);
  return source;
}

}  // namespace bilens
