#include "bilens/run/decompose_run.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include "bilens/analysis/forms/difference.h"
#include "bilens/core/files.h"
#include "bilens/core/log.h"
#include "bilens/core/memory.h"
#include "bilens/core/version.h"
#include "bilens/io/weights.h"
#include "bilens/records/decomposition.h"
#include "bilens/records/layer_file.h"
#include "bilens/run/config_file.h"
#include "bilens/tensor/device.h"
#include "decompose/decompose_estimate.h"
#include "decompose/decompose_summary.h"
#include "decompose/decomposer.h"
#include "decompose/directions.h"
#include "decompose/replacement.h"
#include "decompose/studies.h"
#include "decompose/surrogate.h"
#include "models/batch.h"
#include "models/model_arguments.h"
#include "train/conversion.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr const char* kSurrogateFile = "surrogate.safetensors";

DecomposeRunConfig parse(const DecomposeRunOptions& options) {
  std::vector<Problem> problems;
  auto config = DecomposeRunConfig::fields().parse(options.config, options.where, problems);
  if (problems.empty()) config.check(problems);
  if (problems.empty() && config.wants(Analysis::kCorpus) && !options.minus.empty()) {
    problems.push_back({"analyses", "no \"corpus\" with --minus", "\"corpus\"",
                        "The difference of two layers is no model that reads text."});
  }
  if (problems.empty() && config.surrogate == SurrogateKind::kCalibrated && !options.minus.empty()) {
    problems.push_back({"surrogate", "none or half with --minus", "\"calibrated\"",
                        "Lines fitted to each model apart would be subtracted with the layers."});
  }
  if (!problems.empty()) throw Error(ExitCode::kUsage, problems);
  return config;
}

/// a − b in one input and one output space.
SourceLayer difference(SourceLayer a, const fs::path& path_a, const SourceLayer& b, const fs::path& path_b) {
  const auto same = [](const at::Tensor& x, const at::Tensor& y) {
    return x.defined() == y.defined() && (!x.defined() || (x.sizes() == y.sizes() && x.equal(y)));
  };
  if (!same(a.embed, b.embed) || !same(a.head, b.head)) {
    throw Error(ExitCode::kBadInput,
                {path_b.string(), "the same embedding and head as " + path_a.string(), "others",
                 "The difference of two layers needs one input and one output space."});
  }
  a.layer = subtract(a.layer, b.layer);
  return a;
}

/// Layers behind different norms read different inputs.
void require_same_input(const LayerSource& a, const LayerSource& b) {
  const auto kind = [](const LayerSource& of) {
    return (of.norm ? record_name(of.norm->kind) : "no norm that is known") +
           (of.fold_norm ? ", folded in" : ", not folded in");
  };
  if (kind(a) == kind(b)) return;
  throw Error(ExitCode::kBadInput,
              {b.model.path().string() + ": norm", kind(a) + ", as in " + a.model.path().string(), kind(b),
               "The difference of two layers needs one input space."});
}

/// Layer by layer, a − b in the place of a.
void subtract_layers(LayerSource& source, const LayerSource& other) {
  require_same_input(source, other);
  for (auto& layer : source.layers) {
    const auto match = std::find_if(other.layers.begin(), other.layers.end(),
                                    [&](const auto& o) { return o.number == layer.number; });
    if (match == other.layers.end()) {
      throw Error(ExitCode::kBadInput, {other.model.path().string(), "layer " + std::to_string(layer.number),
                                        "none", "--minus needs the same layers."});
    }
    layer.load = [load_a = layer.load, load_b = match->load, a = source.model.path(),
                  b = other.model.path()] { return difference(load_a(), a, load_b(), b); };
    layer.load();  // what does not fit is said before any layer is solved
  }
  source.minus_sha256 = other.sha256;
  if (!source.surrogate) source.surrogate = other.surrogate;
}

LayerSource load(const StoredModel& model, const DecomposeRunConfig& config) {
  auto source = load_layers(model, config);
  config.check_model(source);
  return source;
}

fs::path default_out(const fs::path& model) {
  return fs::is_directory(model) ? model / "decomposition"
                                 : model.parent_path() / (model.stem().string() + ".decomposition");
}

/// A folder that has a part of a decomposition is gone on with, one that has something else is nobody's to
/// write into.
void check_destination(const fs::path& out, bool resume) {
  const auto is_ours = [](const fs::directory_entry& entry) {
    const auto name = entry.path().filename().string();
    return name == kDecompositionFile || name == kSurrogateFile || name.starts_with("layer_");
  };
  if (resume && fs::is_directory(out) &&
      std::any_of(fs::directory_iterator(out), fs::directory_iterator(), is_ours))
    return;
  require_empty_directory(out, resume ? "No decomposition was begun there: name its folder with --out."
                               : !holds_decomposition(out)
                                   ? "Name another folder with --out."
                                   : "Keep what is finished with --resume, replace it with --overwrite, "
                                     "or name another folder with --out.");
}

/// What is finished stands for another call only where that is of the same job. @throws Error(kUsage)
void check_same_job(const fs::path& out, const fs::path& path, const fs::path& minus,
                    const DecomposeRunConfig& config) {
  const fs::path file = out / kDecompositionFile;
  const auto info = read_decomposition(out).info;
  if (const auto doubt = info.doubt(); !doubt.empty())
    throw Error(ExitCode::kUsage, {file.string(), "a decomposition of this version", "none", doubt});
  const auto& fields = DecomposeRunConfig::fields();
  const auto before = fields.parse_or_throw(info.config, file.string(), ExitCode::kBadInput);
  require_same_settings(fields.dump(before), file, fields.dump(config),
                        {"device", "threads", "memory_limit"});
  const auto hash = [](const fs::path& model) {
    return model.empty() ? Json() : Json(Weights::with_neighbours(model).sha256());
  };
  require_same_settings({{"model_sha256", info.model_sha256},
                         {"minus_sha256", info.minus_sha256 ? Json(*info.minus_sha256) : Json()}},
                        file, {{"model_sha256", hash(path)}, {"minus_sha256", hash(minus)}}, {});
}

/// One model: decomposition.json is written last, after the study, so that it stands for the whole.
/// @param minus the model to subtract, or empty
DecompositionResult decompose_model(const fs::path& path, const fs::path& out, const fs::path& minus,
                                    const DecomposeRunConfig& config, const DecomposeRunOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  auto source = load(path, config);
  std::optional<GateRecord> minus_gate;
  if (!minus.empty()) {
    const auto other = load_layers(minus, config.source());
    minus_gate = other.gate;
    subtract_layers(source, other);
  }
  const auto data = open_data(source, config, options.data);
  const auto lines =
      is_calibrated(config, source) ? calibrate_surrogate(source, config, *data.corpus) : NamedTensors();
  const DirectoryLock lock(out);
  check_destination(out, options.resume);
  if (!lines.empty())
    write_safetensors(out / kSurrogateFile, lines, {{"format", "bilens-surrogate"}, {"format_version", "1"}});
  Decomposition decomposition;
  const Decomposer decomposer(source, config);
  for (const auto& layer : source.layers) {
    if (config.wants_layer(layer.number)) decomposition.layers.push_back(decomposer.write(layer.load(), out));
  }
  auto layers = summarize_layers(decomposition);
  for (const auto* study : studies())
    if (is_wanted(*study, config)) study->run({source, decomposition, config, data, out}, layers);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  auto& info = decomposition.info;
  info.version = version();
  info.surrogate = source.surrogate;
  info.gate = source.gate;
  info.minus_gate = minus_gate;
  info.fold_norm = source.fold_norm;
  info.norm = source.norm;
  if (minus.empty()) info.converted = source.conversion;
  info.model = path.string();
  info.model_sha256 = source.sha256;
  if (!minus.empty()) {
    info.minus = minus.string();
    info.minus_sha256 = source.minus_sha256;
  }
  if (source.classifier) {
    info.model_type = source.classifier->type;
    info.image_shape = source.classifier->image_shape;
  }
  info.config = DecomposeRunConfig::fields().dump(config);
  info.device = describe_device(choose_device(config.device));
  info.seconds = seconds;
  write_decomposition(out, decomposition);
  return {path.string(), info.surrogate, info.converted, info.minus,
          out.string(),  layers,         seconds,        peak_memory()};
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

Json decompose_config_schema() { return DecomposeRunConfig::fields().schema(); }

Outcome run_decomposition(const DecomposeRunOptions& options) {
  const auto config = parse(options);
  if (options.resume && options.overwrite) {
    throw Error(ExitCode::kUsage,
                {"bilens decompose", "--resume, which keeps what is there, or --overwrite", "both", ""});
  }
  set_threads(config.threads);
  choose_device(config.device);
  auto models = expand_models(options.models);
  const auto names = batch_names(models);
  std::map<fs::path, fs::path> outs, minus;
  for (size_t i = 0; i < models.size(); ++i) {
    outs[models[i]] = options.out.empty()  ? default_out(models[i])
                      : models.size() == 1 ? fs::path(options.out)
                                           : fs::path(options.out) / names[i];
  }
  if (options.minus == "previous") {
    models = pair_with_previous(models, minus);
  } else if (!options.minus.empty()) {
    const auto other = find_model(options.minus);
    for (const auto& model : models) minus[model] = other;
  }
  Outcome outcome;
  const auto add = [&](DecompositionResult result, const fs::path& path) {
    result.out = outs[path].string();  // of what is replaced, where it will be
    outcome.results.push_back(DecompositionResult::record().write(result));
    outcome.text += decomposition_in_words(result);
  };
  for_each_model(models, outcome, [&](const fs::path& path) {
    if (options.dry_run) {
      return add_estimate(load(path, config), config, options.data, outcome);
    }
    if (options.resume && fs::exists(outs[path] / kDecompositionFile)) {
      check_same_job(outs[path], path, minus[path], config);
      remove_progress(outs[path]);  // where a kill came before that
      log_info(outs[path].string() + " is finished");
      outcome.results.push_back({{"model", path.string()}, {"out", outs[path].string()}, {"skipped", true}});
      return;
    }
    if (options.overwrite && !is_empty_directory(outs[path])) {
      Replacement replacement(outs[path]);
      add(decompose_model(path, replacement.path(), minus[path], config, options), path);
      replacement.commit();
    } else {
      add(decompose_model(path, outs[path], minus[path], config, options), path);
    }
  });
  for (const auto& failure : outcome.failures) {
    if (options.dry_run)
      outcome.problems.push_back({failure.model, "a model that can be decomposed", failure.message, ""});
  }
  return outcome;
}

}  // namespace bilens
