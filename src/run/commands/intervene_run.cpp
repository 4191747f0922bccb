#include "bilens/run/intervene_run.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include "bilens/core/log.h"
#include "bilens/core/memory.h"
#include "bilens/core/shell.h"
#include "bilens/core/stopwatch.h"
#include "bilens/records/decomposition.h"
#include "bilens/records/record_file.h"
#include "bilens/tensor/device.h"
#include "bilens/tensor/shape.h"
#include "bilens/train/measured_step.h"
#include "decompose/decompose_config.h"
#include "intervention_result.h"
#include "models/corpus.h"
#include "models/vocabulary.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

InterveneRunConfig parse(const InterveneRunOptions& options) {
  std::vector<Problem> problems;
  auto config = InterveneRunConfig::fields().parse(options.config, options.where, problems);
  const bool patches = config.intervention.change == Change::kPatch;
  if (problems.empty() && patches != config.source.has_value()) {
    problems.push_back(
        {"source", patches ? "a text whose values are put in" : "null unless change is \"patch\"",
         patches ? "null" : "a text", "For example --set source.path=other.txt --set source.dataset=text."});
  }
  if (!problems.empty()) throw Error(ExitCode::kUsage, problems);
  return config;
}

/// What an intervention needs to know of the decomposition as a whole.
struct Origin {
  fs::path model;
  std::string sha256;
  std::optional<SurrogateRecord> surrogate;
  bool fold_norm = true;
};

/// @throws Error(kBadInput) for the difference of two models, and for layers that somebody named
Origin origin_of(const DecompositionRecord& info, const fs::path& path) {
  const std::string file = (path / kDecompositionFile).string();
  if (info.minus) {
    throw Error(ExitCode::kBadInput, {file, "the decomposition of one model", "of the difference of two",
                                      "Such a layer does not run."});
  }
  if (info.config.empty())
    throw Error(ExitCode::kBadInput, {file + ": config", "the settings", "none", "Decompose again."});
  const auto config =
      DecomposeRunConfig::fields().parse_or_throw(info.config, file + ": config", ExitCode::kBadInput);
  if (const auto named = config.weights.first_named(); !named.empty()) {
    throw Error(ExitCode::kBadInput, {file, "layers found by the model's architecture", "weights." + named,
                                      "Which layer of the running model that is is not known."});
  }
  return {info.model, info.model_sha256, info.surrogate, info.fold_norm.value_or(config.fold_norm)};
}

/// The part of a decomposition that the config names.
struct Chosen {
  ChosenPairs pairs;
  std::string direction;  // its name
};

/// The layer of that number, or the only one with eigenvectors. @throws Error(kUsage)
const LayerDecomposition& choose_layer(const Decomposition& decomposition, std::optional<int64_t> number,
                                       const std::string& path) {
  std::vector<const LayerDecomposition*> there;
  std::vector<std::string> numbers;
  for (const auto& layer : decomposition.layers) {
    if (!layer.has_pairs()) continue;
    there.push_back(&layer), numbers.push_back(std::to_string(layer.layer));
  }
  if (there.empty()) {
    throw Error(ExitCode::kBadInput, {path, "a decomposition with eigenvectors", "none",
                                      "Decompose with the method \"eigen\" or \"rotate\"."});
  }
  if (!number && there.size() == 1) return *there.front();
  for (const auto* layer : there)
    if (number == layer->layer) return *layer;
  const bool named = number.has_value();
  throw Error(
      ExitCode::kUsage,
      {"layer", "one of the layers of " + path + " with eigenvectors (" + join(numbers) + ")",
       named ? std::to_string(*number) : "none named",
       named ? ""
             : "Name it: `bilens intervene " + shell_word(path) + " --set layer=" + numbers.back() + "`."});
}

Chosen choose(const Decomposition& decomposition, const InterveneRunConfig& config, const fs::path& path) {
  const auto& layer = choose_layer(decomposition, config.layer, path.string());
  const auto below = [](const std::string& what, int64_t value, int64_t count) {
    if (value < count) return;
    throw Error(ExitCode::kUsage, {what, "below " + std::to_string(count), std::to_string(value), ""});
  };
  below("direction", config.direction, layer.count());
  std::set<int64_t> different;
  for (const auto index : config.eigenvectors) {
    below("eigenvectors", index, layer.pairs.k());
    if (!different.insert(index).second)
      throw Error(ExitCode::kUsage, {"eigenvectors", "different ones", std::to_string(index) + " twice", ""});
  }
  if (layer.input_space != InputSpace::kModel) {
    throw Error(ExitCode::kBadInput, {path.string(), "eigenvectors over the layer's own input",
                                      "over the pixels", "Interventions are for language models."});
  }
  Chosen chosen{{}, std::to_string(config.direction)};
  chosen.pairs.layer = layer.layer;
  if (!layer.direction_names.empty()) chosen.direction = layer.direction_names[config.direction];
  chosen.pairs.direction = layer.directions.defined() ? layer.directions[config.direction]
                                                      : at::eye(layer.d_out, at::kDouble)[config.direction];
  const auto indices = at::tensor(config.eigenvectors, at::kLong);
  chosen.pairs.vectors = layer.pairs.eigenvectors[config.direction].index_select(0, indices);
  chosen.pairs.values = layer.pairs.eigenvalues[config.direction].index_select(0, indices);
  auto others = at::ones({layer.count(), layer.pairs.k()}, at::kBool);
  others[config.direction].index_fill_(0, indices, false);
  const auto rest = others.flatten().nonzero().squeeze(1);
  chosen.pairs.other_vectors = layer.pairs.eigenvectors.flatten(0, 1).index_select(0, rest);
  chosen.pairs.other_values = layer.pairs.eigenvalues.flatten().index_select(0, rest);
  return chosen;
}

/// Mean of the tokens `plus` minus mean of the tokens `minus`, over the vocabulary; undefined without both.
at::Tensor logit_direction(const InterveneRunConfig& config, const LanguageModel& model) {
  if (config.plus.empty() && config.minus.empty()) return {};
  const auto vocabulary = read_vocabulary(model, find_tokenizer(model, config.tokenizer), false);
  auto direction = at::zeros({vocabulary.size()}, at::kFloat);
  const auto add = [&](const std::vector<TokenName>& tokens, const std::string& where, double sign) {
    for (const auto& token : tokens)
      direction[vocabulary.id_of(token, where)] += sign / static_cast<double>(tokens.size());
  };
  add(config.plus, "plus", 1), add(config.minus, "minus", -1);
  return direction;
}

/// Seconds of the whole, by what an intervention with one control of each kind takes on some tokens: its
/// passes over the text are the eigenvectors', the direction's and two more, and one for each control.
double measure_seconds(const Corpus& corpus, const ChosenPairs& pairs, const InterveneRunConfig& config,
                       const at::Tensor& logits) {
  const Stopwatch watch;
  auto model = corpus.load(config.device);
  const double loading = watch.seconds();
  auto shortest = config.intervention;
  shortest.controls = 1;
  if (shortest.change == Change::kPatch) shortest.change = Change::kZero;
  const double token = measure_reading(corpus.stream, corpus.data.context, [&](const TokenStream& some) {
    intervene(model, {some, 0, some.size(), corpus.data.context, corpus.data.packing}, pairs, shortest,
              nullptr, logits);
  });
  const auto passes = [&](int64_t controls) {
    return 4 + 2 * controls + std::min(pairs.other_values.size(0), controls);
  };
  const int64_t all = passes(config.intervention.controls) + (config.source ? 1 : 0);
  const auto tokens = static_cast<double>(std::min(config.tokens, corpus.stream.size()));
  return loading + token * tokens * static_cast<double>(all) / static_cast<double>(passes(1));
}

}  // namespace

InterveneRunConfig::InterveneRunConfig() = default;

const FieldTable<InterveneRunConfig>& InterveneRunConfig::fields() {
  using C = InterveneRunConfig;
  static const FieldTable<C> table =
      FieldTable<C>("Config of `bilens intervene`.")
          .integer("format_version", &C::format_version, "Version of this file's format.", between(1, 1))
          .value_or("layer", &C::layer, nullptr,
                    {{"description", "Layer of the decomposition; null: the only one that it has."},
                     {"anyOf", {{{"type", "null"}}, {{"type", "integer"}, {"minimum", 0}}}}})
          .integer("direction", &C::direction, "Direction of the layer, counted from 0.", at_least(0))
          .integers("eigenvectors", &C::eigenvectors,
                    "Eigenvectors of the direction, counted from 0; they are changed together.", at_least(0))
          .nested("intervention", &C::intervention, InterventionConfig::fields())
          .custom("plus", &C::plus,
                  token_names_schema("Tokens whose mean logit is followed, less that of those in minus.", 0),
                  read_token_names, write_token_names)
          .custom("minus", &C::minus, token_names_schema("Tokens whose mean logit is subtracted.", 0),
                  read_token_names, write_token_names)
          .optional("data", &C::data, TextDataConfig::fields(),
                    "Text, as in a training config; null: the test part of what the model was trained on.")
          .optional("source", &C::source, TextDataConfig::fields(), "Text whose values \"patch\" puts in.")
          .integer("tokens", &C::tokens, "Read from the start of the data.", between(2, 1e9), "tokens")
          .text("tokenizer", &C::tokenizer,
                "SentencePiece model or tokenizer.json; empty: the one beside the model's weights.")
          .custom("device", &C::device, device_schema(), read_device, write_device)
          .integer("threads", &C::threads, "CPU threads; 0: one for each processor that may be used.",
                   between(0, kMostThreads), "threads");
  return table;
}

Outcome run_intervention(const InterveneRunOptions& options) {
  auto config = parse(options);
  config.intervention = config.intervention.resolved(static_cast<int64_t>(config.eigenvectors.size()));
  set_threads(config.threads);
  choose_device(config.device);
  const auto decomposition = read_decomposition(options.decomposition);
  if (const auto doubt = decomposition.info.doubt(); !doubt.empty())
    log_warning(options.decomposition + ": " + doubt);
  const auto origin = origin_of(decomposition.info, options.decomposition);
  auto chosen = choose(decomposition, config, options.decomposition);
  const auto language = open_language_model(origin.model);
  const auto open = [&](const std::optional<TextDataConfig>& data, const std::string& spec) {
    // Eigenvectors are chosen on the validation part, which decompose reads.
    return open_corpus(language, data, config.tokenizer, spec, "an intervention", TextSplit::kTest,
                       config.tokens);
  };
  const auto corpus = open(config.data, options.data);
  if (corpus.model.weights().sha256() != origin.sha256) {
    throw Error(ExitCode::kBadInput, {origin.model.string(), "the weights that were decomposed", "others",
                                      "Decompose the model again."});
  }
  require_shape(chosen.pairs.vectors, {-1, corpus.model.config.hidden_size},
                options.decomposition + ": eigenvectors");
  require_shape(chosen.pairs.direction, {corpus.model.config.hidden_size},
                options.decomposition + ": directions");
  if (origin.fold_norm) chosen.pairs.gains = mlp_gains(corpus.model, chosen.pairs.layer);
  const auto logits = logit_direction(config, corpus.model);
  std::optional<Corpus> source;
  if (config.source) {
    source = open(config.source, "");
    source->data.context = corpus.data.context;  // so that places in both mean the same
    source->data.packing = corpus.data.packing;
  }
  Outcome outcome;
  if (options.dry_run) {
    // Terms and their copy while they are joined; quantities, their changes and, of a patch, the source's.
    const int64_t terms = (1 + 2 * config.intervention.controls) * (2 * chosen.pairs.values.size(0) + 8);
    const int64_t at_once = std::max<int64_t>(2048, corpus.data.context);
    auto& estimate = outcome.estimate.emplace();
    estimate.memory_bytes = peak_memory() + 4 * corpus.model.config.parameter_count() +
                            8 * terms * std::min(config.tokens, corpus.stream.size()) +
                            int64_t{4} * 5 * at_once * corpus.model.config.vocab_size;
    estimate.seconds = measure_seconds(corpus, chosen.pairs, config, logits);
    return outcome;
  }
  auto model = corpus.load(config.device);
  const auto windows = corpus.windows(config.tokens);
  std::optional<TextWindows> of_source;
  if (source) of_source.emplace(source->windows(config.tokens));
  const auto study =
      intervene(model, windows, chosen.pairs, config.intervention, of_source ? &*of_source : nullptr, logits);
  InterventionSource about{options.decomposition, origin.model.string(), {},
                           chosen.pairs.layer,    chosen.direction,      config.eigenvectors,
                           config.intervention,   corpus.data,           {}};
  about.surrogate = origin.surrogate;
  if (source) about.source = source->data;
  const auto result = intervention_result(about, study, logits.defined());
  outcome.text = intervention_in_words(result);
  outcome.results.push_back(result.record().write(result));
  return outcome;
}

}  // namespace bilens
