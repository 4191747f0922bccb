#include "model_decomposition.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "bilens/analysis/forms/difference.h"
#include "bilens/core/files.h"
#include "bilens/core/locks.h"
#include "bilens/core/log.h"
#include "bilens/core/memory.h"
#include "bilens/core/sha256.h"
#include "bilens/core/stopwatch.h"
#include "bilens/core/version.h"
#include "bilens/records/decomposition.h"
#include "bilens/records/layer_file.h"
#include "bilens/records/surrogate_units.h"
#include "bilens/run/config_file.h"
#include "bilens/tensor/device.h"
#include "decomposer.h"
#include "replacement.h"
#include "shared_layers.h"
#include "studies.h"
#include "surrogate.h"
#include "unused_settings.h"
#include "weighting.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr const char* kSameLayers =
    "--minus needs the same layers. Gated ones are left out without --set surrogate=half.";

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
                                        "none", kSameLayers});
    }
    layer.load = [load_a = layer.load, load_b = match->load, a = source.model.path(),
                  b = other.model.path()] { return difference(load_a(), a, load_b(), b); };
    layer.load();  // what does not fit is said before any layer is solved
  }
  for (const auto& layer : other.layers) {
    const auto is_it = [&](const auto& own) { return own.number == layer.number; };
    if (std::any_of(source.layers.begin(), source.layers.end(), is_it)) continue;
    throw Error(ExitCode::kBadInput,
                {source.model.path().string(),
                 "layer " + std::to_string(layer.number) + ", as in " + other.model.path().string(), "none",
                 kSameLayers});
  }
  source.minus_sha256 = other.sha256;
  if (!source.surrogate) source.surrogate = other.surrogate;
}

/// What is solved for one model.
struct Opened {
  LayerSource source;
  std::optional<GateRecord> minus_gate;
  DecomposeData data;
  NamedTensors surrogates;  // SurrogateUnits that were fitted here
  Weightings weightings;
};

Opened open(const DecomposeInput& input, const DecomposeRunConfig& config) {
  Opened opened{load_checked(input.model, config), {}, {}, {}, {}};
  if (opened.source.vocabulary) opened.source.vocabulary->name_by(input.pieces);
  if (input.minus) {
    const auto other = load_layers(*input.minus, config.source());
    opened.minus_gate = other.gate;
    subtract_layers(opened.source, other);
  }
  if (config.surrogate && !opened.source.surrogate)
    log_warning(input.model.path().string() + " is bilinear: it is decomposed itself, and no surrogate");
  opened.data = open_data(opened.source, config, input.data);
  if (opened.data.corpus) require_pieces_fit(input.pieces, opened.data.corpus->model.config.vocab_size);
  if (input.named != nullptr) {
    require_used({*input.named, opened.source, config, opened.data, input.data, !input.pieces.empty()});
  }
  if (is_calibrated(config.surrogate, opened.source))
    opened.surrogates = calibrate_surrogate(opened.source, config.corpus, config.device, *opened.data.corpus);
  if (config.is_weighted()) opened.weightings = read_weightings(opened.source, config, opened.data);
  return opened;
}

/// All but the layers.
DecompositionRecord describe(const Opened& opened, const DecomposeInput& input,
                             const DecomposeRunConfig& config) {
  const auto& source = opened.source;
  DecompositionRecord info;
  info.version = version();
  info.surrogate = source.surrogate;
  info.gate = source.gate;
  info.minus_gate = opened.minus_gate;
  info.fold_norm = source.fold_norm;
  info.norm = source.norm;
  info.model = input.model.path().string();
  info.model_sha256 = source.sha256;
  if (input.minus) {
    info.minus = input.minus->path().string();
    info.minus_sha256 = source.minus_sha256;
  } else {
    info.converted = source.conversion;
  }
  if (source.classifier) {
    info.model_type = source.classifier->type;
    info.image_shape = source.classifier->image_shape;
  }
  info.config = DecomposeRunConfig::fields().dump(config);
  info.device = describe_device(choose_device(config.device));
  return info;
}

/// All layers that are wanted, in memory.
std::vector<LayerDecomposition> solve_layers(const Opened& opened, const DecomposeRunConfig& config) {
  const Decomposer decomposer(opened.source, config, &opened.weightings);
  std::vector<LayerDecomposition> layers;
  for (const auto& layer : opened.source.layers)
    if (config.wants_layer(layer.number)) layers.push_back(decomposer.solve(layer.load()));
  if (config.is_weighted()) measure_weighted(opened.source, config, opened.data, layers);
  return layers;
}

std::vector<int64_t> wanted_layers(const LayerSource& source, const DecomposeRunConfig& config) {
  std::vector<int64_t> numbers;
  for (const auto& layer : source.layers)
    if (config.wants_layer(layer.number)) numbers.push_back(layer.number);
  return numbers;
}

/// Solves all layers that are wanted and writes each into its file; nothing where SharedLayers::for_each
/// gives false. What is weighted is written when other inputs have measured it.
std::optional<std::vector<LayerDecomposition>> write_layers(const Opened& opened,
                                                            const DecomposeRunConfig& config,
                                                            const SharedLayers& shared, Others others,
                                                            const fs::path& out) {
  if (config.is_weighted()) {
    auto layers = solve_layers(opened, config);
    for (const auto& layer : layers) write_factors(out, layer, "");
    return layers;
  }
  const Decomposer decomposer(opened.source, config);
  std::map<int64_t, LayerDecomposition> found;
  const bool all = shared.for_each(others, [&](int64_t number) {
    const auto& layers = opened.source.layers;
    const auto layer =
        std::find_if(layers.begin(), layers.end(), [&](const auto& one) { return one.number == number; });
    found.emplace(number, decomposer.write(layer->load(), out));
  });
  if (!all) return std::nullopt;
  std::vector<LayerDecomposition> layers;
  for (auto& [number, layer] : found) layers.push_back(std::move(layer));
  return layers;
}

/// The settings that what is found depends on.
Json settings_that_count(const DecomposeRunConfig& config) {
  using C = DecomposeRunConfig;
  return C::fields().dump_without(config, &C::device, &C::threads, &C::memory_limit);
}

/// What processes have to agree on that share the layers.
std::string shared_job(const Opened& opened, const DecomposeInput& input, const DecomposeRunConfig& config) {
  const Json settings = settings_that_count(config);
  Sha256 hash;
  for (const auto& text : {settings.dump(), opened.source.sha256, opened.source.minus_sha256, input.data})
    hash.update(text.data(), text.size());
  if (const auto& given = config.directions.given; given.defined()) {
    const auto dense = given.contiguous();
    hash.update(dense.const_data_ptr(), dense.nbytes());
  }
  return hash.hex();
}

/// A folder that has a part of a decomposition is gone on with, one that has something else is nobody's to
/// write into.
void check_destination(const fs::path& out, bool resume) {
  bool begun = false, empty = true;
  // One look, since those that share the folder may add to it meanwhile.
  for (const auto& entry : fs::directory_iterator(out)) {
    const auto name = entry.path().filename().string();
    begun |= name == kDecompositionFile || name == SurrogateUnits::kFile || name.starts_with("layer_");
    empty &= is_own_leftover(name);
  }
  if (empty || (resume && begun)) return;
  require_empty_directory(out, resume ? "No decomposition was begun there: name its folder with --out."
                               : !holds_decomposition(out)
                                   ? "Name another folder with --out."
                                   : "Keep what is finished with --resume, replace it with --overwrite, "
                                     "or name another folder with --out.");
}

}  // namespace

DecomposeRunConfig parse_decompose_config(const Json& given, const std::string& where, bool subtracts) {
  std::vector<Problem> problems;
  auto config = DecomposeRunConfig::fields().parse(given, where, problems);
  if (problems.empty()) config.check(problems);
  if (problems.empty() && config.wants(Analysis::kCorpus) && subtracts) {
    problems.push_back({"analyses", "no \"corpus\" with --minus", "\"corpus\"",
                        "The difference of two layers is no model that reads text."});
  }
  if (problems.empty() && config.surrogate == SurrogateKind::kCalibrated && subtracts) {
    problems.push_back({"surrogate", "none or half with --minus", "\"calibrated\"",
                        "Units fitted to each model apart would be subtracted with the layers."});
  }
  if (problems.empty() && config.is_weighted() && subtracts) {
    problems.push_back({"weighting", "\"none\" with --minus", "\"data\"",
                        "The two models read inputs of their own. Weight each, and compare."});
  }
  if (!problems.empty()) throw Error(ExitCode::kUsage, problems);
  return config;
}

void check_same_job(const fs::path& out, const DecomposeInput& input, const DecomposeRunConfig& config) {
  const fs::path file = out / kDecompositionFile;
  const auto found = read_decomposition(out);
  const auto& info = found.info;
  if (const auto doubt = info.doubt(); !doubt.empty())
    throw Error(ExitCode::kUsage, {file.string(), "a decomposition of this version", "none", doubt});
  const auto before =
      DecomposeRunConfig::fields().parse_or_throw(info.config, file.string(), ExitCode::kBadInput);
  require_same_settings(settings_that_count(before), file, settings_that_count(config));
  const auto hash = [](const std::optional<StoredModel>& model) {
    return model ? Json(model->weights().sha256()) : Json();
  };
  require_same_settings({{"model_sha256", info.model_sha256},
                         {"minus_sha256", info.minus_sha256 ? Json(*info.minus_sha256) : Json()}},
                        file, {{"model_sha256", hash(input.model)}, {"minus_sha256", hash(input.minus)}});
  const auto& given = config.directions.given;
  for (const auto& layer : found.layers) {
    if (!given.defined() || layer.directions.equal(given.to(layer.dtype))) continue;
    throw Error(ExitCode::kUsage, {file.string(), "the same directions", "others", "Name another folder."});
  }
}

LayerSource load_checked(const StoredModel& model, const DecomposeRunConfig& config) {
  auto source = load_layers(model, config);
  config.check_model(source);
  return source;
}

Decomposition decompose_in_memory(const DecomposeInput& input, const DecomposeRunConfig& given) {
  const Stopwatch watch;
  auto config = given;
  config.analyses.clear();
  const auto opened = open(input, config);
  Decomposition decomposition{describe(opened, input, config), solve_layers(opened, config),
                              opened.surrogates};
  decomposition.info.seconds = watch.seconds();
  return decomposition;
}

std::optional<DecompositionResult> decompose_into(const DecomposeInput& input,
                                                  const DecomposeRunConfig& config, const fs::path& out,
                                                  bool resume, Others others) {
  const Stopwatch watch;
  // What is fitted to data is fitted by one process alone, so that one locks the folder before.
  const bool fits = config.is_weighted() || config.surrogate == SurrogateKind::kCalibrated;
  const auto first = resume && fits ? lock_to_resume(out, std::nullopt, others) : std::nullopt;
  if (resume && fits && !first) return std::nullopt;
  const auto opened = open(input, config);
  const auto lock = first     ? std::nullopt
                    : !resume ? std::optional<FolderLock>(DirectoryLock(out))
                              : lock_to_resume(out, shared_job(opened, input, config), others);
  if (!first && !lock) return std::nullopt;
  check_destination(out, resume);
  if (!opened.surrogates.empty()) {
    write_safetensors(out / SurrogateUnits::kFile, opened.surrogates,
                      format_metadata(SurrogateUnits::kFormat));
  }
  const SharedLayers shared(out, wanted_layers(opened.source, config));
  auto written = write_layers(opened, config, shared, others, out);
  if (!written) return std::nullopt;
  const auto claims = shared.claim_all(others);
  if (!claims) return std::nullopt;
  Decomposition decomposition{describe(opened, input, config), std::move(*written), {}};
  auto layers = summarize_layers(decomposition);
  for (const auto* study : studies())
    if (is_wanted(*study, config.analyses))
      study->run({opened.source, decomposition, config, opened.data, input.pieces, out}, layers);
  auto& info = decomposition.info;
  info.seconds = watch.seconds();
  write_decomposition(out, decomposition);
  return DecompositionResult{info.model,   info.surrogate, info.converted, info.minus,
                             out.string(), layers,         info.seconds,   peak_memory()};
}

}  // namespace bilens
