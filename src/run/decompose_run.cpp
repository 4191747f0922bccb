#include "bilens/run/decompose_run.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include "bilens/analysis/decomposition.h"
#include "bilens/analysis/eigen_plan.h"
#include "bilens/analysis/factor_plan.h"
#include "bilens/analysis/layer_file.h"
#include "bilens/core/files.h"
#include "bilens/core/log.h"
#include "bilens/core/memory.h"
#include "bilens/core/progress.h"
#include "bilens/core/text.h"
#include "bilens/core/version.h"
#include "bilens/model/model_directory.h"
#include "bilens/run/batch.h"
#include "bilens/run/conversion.h"
#include "bilens/run/corpus_analysis.h"
#include "bilens/run/data_spec.h"
#include "bilens/run/decomposer.h"
#include "bilens/run/model_arguments.h"
#include "bilens/run/surrogate.h"
#include "bilens/run/token_analysis.h"
#include "bilens/study/study.h"
#include "bilens/tensor/device.h"
#include "bilens/tensor/product_rate.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

DecomposeRunConfig parse(const DecomposeRunOptions& options) {
  std::vector<Problem> problems;
  auto config = DecomposeRunConfig::fields().parse(options.config, options.where, problems);
  if (problems.empty()) config.check(problems);
  if (problems.empty() && config.wants_analysis("corpus") && !options.minus.empty()) {
    problems.push_back({"analyses", "no \"corpus\" with --minus", "\"corpus\"",
                        "The difference of two layers is no model that reads text."});
  }
  if (problems.empty() && config.surrogate == Surrogate::kCalibrated && !options.minus.empty()) {
    problems.push_back({"surrogate", "none or half with --minus", "\"calibrated\"",
                        "Lines fitted to each model apart would be subtracted with the layers."});
  }
  if (!problems.empty()) throw Error(ExitCode::kUsage, problems);
  return config;
}

/// Layer by layer, a − b in the place of a.
void subtract_layers(LayerSource& source, const LayerSource& other) {
  for (auto& layer : source.layers) {
    const auto match = std::find_if(other.layers.begin(), other.layers.end(),
                                    [&](const auto& o) { return o.number == layer.number; });
    if (match == other.layers.end()) {
      throw Error(ExitCode::kBadInput, {other.path.string(), "layer " + std::to_string(layer.number), "none",
                                        "--minus needs the same layers."});
    }
    const auto same = [](const at::Tensor& a, const at::Tensor& b) {
      return a.defined() == b.defined() && (!a.defined() || (a.sizes() == b.sizes() && a.equal(b)));
    };
    if (!same(layer.embed, match->embed) || (!same(layer.head, match->head))) {
      throw Error(ExitCode::kBadInput,
                  {other.path.string(), "the same embedding and head as " + source.path.string(), "others",
                   "The difference of two layers needs one input and one output space."});
    }
    layer.layer = subtract(layer.layer, match->layer);
  }
  source.minus_sha256 = other.sha256;
  if (source.surrogate.is_null()) source.surrogate = other.surrogate;
}

LayerSource load(const fs::path& path, const DecomposeRunConfig& config) {
  auto source = load_layers(path, config);
  config.check_model(source);
  return source;
}

fs::path default_out(const fs::path& model) {
  return fs::is_directory(model) ? model / "decomposition"
                                 : model.parent_path() / (model.stem().string() + ".decomposition");
}

/// The images that the model was made for, if any analysis wants them.
std::optional<ImageDataConfig> study_data(const DecomposeRunConfig& config, const std::string& spec,
                                          const LayerSource& source) {
  if (!source.classifier || config.analyses.empty()) return std::nullopt;
  if (config.data.is_object())
    return ImageDataConfig::fields().parse_or_throw(config.data, "data", ExitCode::kUsage);
  return data_of_model(spec, source.path);
}

/// Whether lines are to be fitted to the model's activations; a bilinear one has none.
bool is_calibrated(const DecomposeRunConfig& config, const LayerSource& source) {
  return config.surrogate == Surrogate::kCalibrated && !source.surrogate.is_null();
}

/// The text, if an analysis or the surrogate wants it.
std::optional<Corpus> find_corpus(const LayerSource& source, const DecomposeRunConfig& config,
                                  const std::string& data_spec) {
  if (!config.wants_analysis("corpus") && !is_calibrated(config, source)) return std::nullopt;
  const auto& wanted = config.corpus;
  return open_corpus(
      source.path, config.data, config.tokenizer, data_spec,
      "the analysis \"corpus\" or a calibrated surrogate",
      std::max(wanted.tokens, wanted.loss_tokens) + wanted.tokens);  // the surrogate's are the last
}

StudyConfig study_config(const DecomposeRunConfig& config) {
  return {config.wants_analysis("truncation"), config.wants_analysis("exactness"),
          config.wants_analysis("importance"), StudyConfig{}.examples};
}

void study_model(const LayerSource& source, const Decomposition& decomposition,
                 const ImageDataConfig& data_config, const DecomposeRunConfig& config, const fs::path& out) {
  const auto data = load_images(data_config, 0);
  auto model = load_classifier(source.path, at::kCPU);
  auto study = make_study(model, data.test, decomposition, study_config(config));
  study.data = {{"dataset", data_config.dataset}, {"split", "test"}, {"examples", data.test.size()}};
  write_study(out, study, data.test);
}

Json summarize_layer(const LayerDecomposition& layer) {
  Json summary = {{"layer", layer.layer}, {"method", layer.method}, {"directions", layer.count()}};
  if (layer.has_pairs()) {
    summary["k"] = layer.pairs.k();
    summary["converged"] = layer.pairs.converged.sum().item<int64_t>();
    summary["worst_residual"] = layer.pairs.residuals.max().item<double>();
  }
  if (layer.factors) {
    summary["figures"] = layer.factors->figures;
    summary["words"] = layer.factors->words;
  }
  return summary;
}

Json summarize(const fs::path& model, const fs::path& out, const Decomposition& decomposition,
               const std::optional<TokenStudy>& tokens, const std::optional<CorpusStudy>& corpus,
               double seconds) {
  Json layers = Json::array();
  for (const auto& layer : decomposition.layers) {
    layers.push_back(summarize_layer(layer));
    for (const auto& of_layer : tokens ? tokens->layers : std::vector<TokenLayer>{}) {
      if (of_layer.layer == layer.layer) layers.back()["tokens"] = summarize_tokens(*tokens, of_layer, layer);
    }
    for (const auto& of_layer : corpus ? corpus->layers : std::vector<CorpusLayer>{}) {
      if (of_layer.layer != layer.layer) continue;
      layers.back()["corpus"] = summarize_corpus(of_layer);
      layers.back()["corpus"]["tokens"] = corpus->tokens;
      for (const auto& losses : corpus->losses.is_null() ? Json::array() : corpus->losses.at("layers")) {
        if (losses.at("layer") == layer.layer) layers.back()["corpus"]["losses"] = losses;
      }
    }
  }
  return {{"model", model.string()},
          {"surrogate", decomposition.info.at("surrogate")},
          {"converted", decomposition.info.at("converted")},
          {"out", out.string()},
          {"layers", layers},
          {"seconds", seconds},
          {"peak_memory_bytes", peak_memory()}};
}

std::string in_words(const Json& result) {
  std::string text;
  if (!result.at("converted").is_null()) text += conversion_in_words(result.at("converted")) + "\n";
  if (!result.at("surrogate").is_null())
    text += "surrogate: " + result.at("surrogate").at("meaning").get<std::string>() + "\n";
  for (const auto& layer : result.at("layers")) {
    text += format("layer %lld: %lld directions, ", layer.at("layer").get<long long>(),
                   layer.at("directions").get<long long>());
    if (layer.contains("words")) {
      text += layer.at("method").get<std::string>() + ", " + layer.at("words").get<std::string>() + "\n";
    } else {
      text += format("top %lld, %lld converged, worst residual %.1e\n", layer.at("k").get<long long>(),
                     layer.at("converged").get<long long>(), layer.at("worst_residual").get<double>());
    }
    for (const auto& card : layer.value("tokens", Json::array())) text += card_in_words(card);
    if (layer.contains("corpus"))
      text += corpus_in_words(layer.at("corpus").at("tokens"), layer.at("corpus"));
  }
  return text + format_duration(result.at("seconds").get<double>()) + "  " +
         result.at("out").get<std::string>() + "\n";
}

void check_out(const fs::path& out, bool resume) {
  if (resume || is_empty_directory(out)) return;
  throw Error(ExitCode::kUsage, {out.string(), "an empty or new folder", "files in it",
                                 "Keep what is finished with --resume, or name another folder with --out."});
}

/// One model: decomposition.json is written last, after the study, so that it stands for the whole.
/// @param minus the model to subtract, or empty
Json decompose_model(const fs::path& path, const fs::path& out, const fs::path& minus,
                     const DecomposeRunConfig& config, const DecomposeRunOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  auto source = load(path, config);
  if (!minus.empty()) subtract_layers(source, load_layers(minus, config.source()));
  const auto corpus = find_corpus(source, config, options.data);
  const auto lines =
      is_calibrated(config, source) ? calibrate_surrogate(source, config, *corpus) : NamedTensors();
  const DirectoryLock lock(out);
  check_out(out, options.resume);
  if (!lines.empty())
    write_safetensors(out / "surrogate.safetensors", lines,
                      {{"format", "bilens-surrogate"}, {"format_version", "1"}});
  Decomposition decomposition;
  const Decomposer decomposer(source, config);
  for (const auto& layer : source.layers) {
    if (config.wants_layer(layer.number)) decomposition.layers.push_back(decomposer.write(layer, out));
  }
  if (decomposition.layers.empty()) {
    throw Error(ExitCode::kUsage, {"layers", "numbers below " + std::to_string(source.layers.size()),
                                   config.layers.dump(), ""});
  }
  const auto data = minus.empty() ? study_data(config, options.data, source) : std::nullopt;
  if (data) study_model(source, decomposition, *data, config, out);
  std::optional<TokenStudy> tokens;
  if (config.wants_analysis("tokens")) tokens = analyse_tokens(source, decomposition, config, out);
  std::optional<CorpusStudy> on_corpus;
  if (config.wants_analysis("corpus"))
    on_corpus = analyse_corpus(source, decomposition, config, *corpus, out);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  decomposition.info = {{"version", version()},
                        {"surrogate", source.surrogate},
                        {"converted", minus.empty() ? source.conversion : Json(nullptr)},
                        {"model", path.string()},
                        {"model_sha256", source.sha256},
                        {"minus", minus.empty() ? Json(nullptr) : Json(minus.string())},
                        {"model_type", source.classifier ? Json(source.classifier->type) : Json(nullptr)},
                        {"image_shape", source.classifier ? source.classifier->image_shape : Json(nullptr)},
                        {"config", DecomposeRunConfig::fields().dump(config)},
                        {"device", describe_device(choose_device(config.device))},
                        {"seconds", seconds}};
  write_decomposition(out, decomposition);
  return summarize(path, out, decomposition, tokens, on_corpus, seconds);
}

constexpr int64_t kLibraryWorkspace = int64_t{60} << 20;  // of the matrix library, seen on 2 threads

/// Bytes of the studies: inputs in float64 and half as much again for hidden states; terms, their sums and
/// errors.
int64_t study_bytes(const std::optional<ImageDataConfig>& data, int64_t d, int64_t k) {
  if (!data) return 0;
  const int64_t images = load_images(*data, 0).test.size();
  return images * 8 * (d + d / 2 + 5 * k);
}

/// Memory and disk for the largest model, time for all. The weights are loaded already and in the process's
/// peak.
void add_estimate(Outcome& outcome, const LayerSource& source, const DecomposeRunConfig& config,
                  const std::string& data_spec) {
  if (outcome.estimate.is_null())
    outcome.estimate = {{"memory_bytes", 0}, {"disk_bytes", 0}, {"seconds", 0.0}};
  const auto device = choose_device(config.device);
  const auto dtype = parse_dtype(config.dtype);
  const auto data = study_data(config, data_spec, source);
  const auto corpus = find_corpus(source, config, data_spec);
  int64_t memory = 0, disk = 0, text = 0;
  double seconds = 0;
  bool seconds_known = !outcome.estimate["seconds"].is_null();
  for (const auto& layer : source.layers) {
    if (!config.wants_layer(layer.number)) continue;
    const auto problem = eigen_problem(layer, choose_directions(config, source, layer), config);
    const auto eigen = config.eigen(problem.dimension());
    const auto sizes = eigen_sizes(problem, eigen.k);
    const int64_t result = sizes.n * sizes.k * sizes.d * static_cast<int64_t>(c10::elementSize(dtype));
    const std::string where = source.path.string() + ", layer " + std::to_string(layer.number) + ": ";
    disk += result + sizes.n * sizes.k * 40;
    if (config.method != "eigen" && config.method != "rotate") {
      const auto cost = plan_factors(config.method, sizes, eigen);
      memory = std::max(memory, cost.bytes + result);
      if (cost.operations) seconds += *cost.operations / measure_product_rate(device, at::kDouble);
      seconds_known = seconds_known && cost.operations;
      outcome.text += where + config.method + ": " + cost.words + ", " +
                      format_bytes(static_cast<double>(cost.bytes)) + " beside the weights\n";
      continue;
    }
    const auto plan = plan_eigen(sizes, device, eigen);
    memory = std::max({memory, plan.bytes + result, study_bytes(data, sizes.d, sizes.k) + result});
    if (config.wants_analysis("tokens"))
      memory = std::max(memory, token_study_bytes(sizes.n, sizes.k, source.vocabulary->size()) + result);
    text += corpus_layer_bytes(sizes.n, sizes.k, config.corpus);
    seconds += plan.operations / measure_product_rate(device, dtype);
    outcome.text += where + plan.describe() + "\n";
  }
  if (corpus)
    memory = std::max(memory, corpus_study_bytes() + text + 4 * corpus->model.config.parameter_count());
  const auto raise = [&](const char* key, int64_t value) {
    outcome.estimate[key] = std::max(outcome.estimate.value(key, int64_t{0}), value);
  };
  raise("memory_bytes", peak_memory() + kLibraryWorkspace + memory);
  if (!device.is_cpu()) raise("device_memory_bytes", memory);
  outcome.estimate["disk_bytes"] = outcome.estimate["disk_bytes"].get<int64_t>() + disk;
  outcome.estimate["seconds"] =
      seconds_known ? Json(outcome.estimate["seconds"].get<double>() + seconds) : Json(nullptr);
}

/// All models but the first, each with the one before it to be subtracted: checkpoints by their steps, others
/// in the order in which they are named.
std::vector<fs::path> pair_with_previous(std::vector<fs::path> models, std::map<fs::path, fs::path>& minus) {
  const bool checkpoints = std::all_of(models.begin(), models.end(), [](const fs::path& path) {
    return path.filename().string().starts_with("step-");
  });
  if (checkpoints) sort_by_number(models);
  if (std::set<fs::path>(models.begin(), models.end()).size() != models.size())
    throw Error(ExitCode::kUsage, {"--minus previous", "different models", "one of them twice", ""});
  if (models.size() < 2) {
    throw Error(ExitCode::kUsage, {"--minus previous", "at least two models, in their order",
                                   std::to_string(models.size()), "For example a run's checkpoints folder."});
  }
  for (size_t i = 1; i < models.size(); ++i) minus[models[i]] = models[i - 1];
  return {models.begin() + 1, models.end()};
}

}  // namespace

Outcome run_decomposition(const DecomposeRunOptions& options) {
  const auto config = parse(options);
  set_threads(config.threads);
  choose_device(config.device);
  auto models = expand_models(options.models);
  const auto names = batch_names(models);
  std::map<fs::path, fs::path> outs, minus;
  for (size_t i = 0; i < models.size(); ++i) {
    outs[models[i]] = options.out.empty()  ? default_out(models[i])
                      : models.size() == 1 ? fs::path(options.out)
                                           : fs::path(options.out) / names[i];
    if (!options.minus.empty()) minus[models[i]] = options.minus;
  }
  if (options.minus == "previous") models = pair_with_previous(models, minus);
  Outcome outcome;
  for_each_model(models, outcome, [&](const fs::path& path) {
    if (options.dry_run) {
      return add_estimate(outcome, load(path, config), config, options.data);
    }
    if (options.resume && fs::exists(outs[path] / kDecompositionFile)) {
      remove_progress(outs[path]);  // where a kill came before that
      log_info(outs[path].string() + " is finished");
      outcome.results.push_back({{"model", path.string()}, {"out", outs[path].string()}, {"skipped", true}});
      return;
    }
    outcome.results.push_back(decompose_model(path, outs[path], minus[path], config, options));
    outcome.text += in_words(outcome.results.back());
  });
  for (const auto& failure : outcome.failures) {
    if (options.dry_run)
      outcome.problems.push_back({failure.model, "a model that can be decomposed", failure.message, ""});
  }
  return outcome;
}

}  // namespace bilens
