#include "bilens/run/convert_run.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <functional>

#include "bilens/core/disk.h"
#include "bilens/core/files.h"
#include "bilens/core/log.h"
#include "bilens/core/memory.h"
#include "bilens/core/progress.h"
#include "bilens/model/meta_llama.h"
#include "bilens/model/model_directory.h"
#include "bilens/model/paper_classifier.h"
#include "bilens/model/paper_transformer.h"
#include "layers/gate_choice.h"
#include "models/language_model.h"
#include "models/model_arguments.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

/// What is written: as many parameters in as many bytes, by a function that fills a folder.
struct Conversion {
  int64_t parameters, bytes;
  std::function<void(const fs::path& folder)> save;
  Weights read;  // some of what is read
};

/// Seconds that weights take to be read and written, by what some of them and a file of 16 MB do; null where
/// nothing can be written.
Json measure_seconds(const Weights& weights, int64_t bytes, const fs::path& out) {
  constexpr int64_t kEnough = int64_t{64} << 20;
  const double writing = measure_write_rate(out);
  if (writing == 0) return nullptr;
  const auto begin = std::chrono::steady_clock::now();
  int64_t read = 0;
  for (const auto& [name, info] : weights.tensors()) {
    if (read > kEnough) break;
    const auto copy = weights.tensor(name).clone();
    read += static_cast<int64_t>(copy.nbytes());
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  const double second = read > 0 ? taken.count() / static_cast<double>(read) : 0;
  return static_cast<double>(bytes) * (second + 1 / writing);
}

constexpr int64_t kFloatBytes = 4;

int64_t bytes_of(const LlamaConfig& config) {
  return config.parameter_count() * static_cast<int64_t>(c10::elementSize(config.dtype));
}

/// @throws Error(kBadInput) for a gate that our classifiers do not have
Gate classifier_gate(const GateChoice& gate) {
  for (const auto& [name, known] : gate_names())
    if (name == gate.name) return known;
  throw Error(ExitCode::kBadInput, {"gate", "none, silu, gelu or relu", gate.name + ", by " + gate.source,
                                    "Image classifiers here have no other gate."});
}

Conversion convert_classifier(const ConvertRunOptions& options, const Weights& weights, PaperClassifier found,
                              const GateChoice& gate) {
  if (!options.tokenizer.empty()) {
    throw Error(ExitCode::kUsage, {"--tokenizer", "a language model", "an image classifier", ""});
  }
  found.config.gate = classifier_gate(gate);
  const auto model = load_paper_classifier(weights, found);
  const auto parameters = found.config.parameter_count();
  return {parameters, kFloatBytes * parameters,
          [model](const fs::path& folder) { save_classifier(folder, model); }, weights};
}

Conversion convert_paper_transformer(const ConvertRunOptions& options, const StoredModel& stored) {
  auto decoder = load_paper_transformer(stored);
  const LanguageModel model{stored, decoder.config()};
  if (!options.tokenizer.empty()) open_tokenizer(model, options.tokenizer);
  const auto parameters = model.config.parameter_count();
  return {parameters, kFloatBytes * parameters,
          [options, decoder, model](const fs::path& folder) {
            save_llama(folder, decoder.parameters(), decoder.config());
            copy_tokenizer(model, options.tokenizer, folder);
          },
          model.weights()};
}

Conversion convert_llama(const ConvertRunOptions& options, const StoredModel& stored) {
  const auto model = open_language_model(stored);
  if (!options.tokenizer.empty()) open_tokenizer(model, options.tokenizer);
  const auto parameters = model.config.parameter_count();
  return {parameters, bytes_of(model.config),
          [options, model](const fs::path& folder) {
            save_llama(folder, stored_parameters(model.weights(), model.config), model.config);
            copy_generation_config(model, folder);
            copy_tokenizer(model, options.tokenizer, folder);
          },
          model.weights()};
}

/// Whether the model's tokenizer.model is none of SentencePiece's: Llama 3 calls a list of tiktoken's so.
bool has_other_tokenizer(const StoredModel& model) {
  const auto file = model.file("tokenizer.model");
  if (file.empty()) return false;
  try {
    Tokenizer tokenizer(file);
  } catch (const Error&) {
    return true;
  }
  return false;
}

Conversion convert_meta(const ConvertRunOptions& options, const StoredModel& stored) {
  if (options.gate != "auto" && options.gate != "silu")
    throw Error(ExitCode::kUsage,
                {"--gate", "silu, the gate of Meta's Llamas", options.gate, "Leave it out."});
  const auto files = open_meta_files(stored);
  const auto found = read_meta_llama(files);
  const LanguageModel model{stored, found.config};
  if (!options.tokenizer.empty()) open_tokenizer(model, options.tokenizer);
  const auto parameters = found.config.parameter_count();
  return {parameters, bytes_of(found.config),
          [options, found, model](const fs::path& folder) {
            save_llama(folder, found.parameters, found.config);
            if (!options.tokenizer.empty() || !has_other_tokenizer(model.stored))
              copy_tokenizer(model, options.tokenizer, folder);
          },
          files.parts.front()};
}

Conversion prepare(const ConvertRunOptions& options, const StoredModel& model) {
  if (is_meta_folder(options.in)) return convert_meta(options, model);
  const auto& weights = model.weights();
  const auto found = find_paper_classifier(model);
  if (found || options.gate != "auto") {
    const auto gate =
        choose_gate(read_architecture(model), MlpConvention::kPlain, options.gate, options.in.string());
    if (found) return convert_classifier(options, weights, *found, gate);
  }
  if (is_paper_transformer(weights)) return convert_paper_transformer(options, model);
  if (has_meta_names(weights)) return convert_meta(options, model);
  return convert_llama(options, model);
}

}  // namespace

Outcome run_conversion(const ConvertRunOptions& options) {
  Outcome outcome;
  const auto& words = gate_words();
  if (options.gate != "auto" && std::find(words.begin(), words.end(), options.gate) == words.end())
    throw Error(ExitCode::kUsage, {"--gate", join(words), "\"" + options.gate + "\"", ""});
  if (options.out.empty()) throw Error(ExitCode::kUsage, {"OUT", "an empty or new folder", "\"\"", ""});
  require_empty_directory(options.out, "Name another folder.");
  auto named = options;
  named.in = find_model(options.in.string());
  const auto conversion = prepare(named, named.in);
  if (options.dry_run) {
    outcome.estimate = {{"memory_bytes", peak_memory() + conversion.bytes},
                        {"disk_bytes", conversion.bytes},
                        {"seconds", measure_seconds(conversion.read, conversion.bytes, named.out)}};
    return outcome;
  }
  AtomicDirectory folder(options.out);
  conversion.save(folder.path());
  const bool without_tokenizer = fs::exists(folder.path() / "generation_config.json") &&
                                 !fs::exists(folder.path() / "tokenizer.model") &&
                                 !fs::exists(folder.path() / "tokenizer.json");
  folder.commit();
  if (without_tokenizer)
    log_warning("no tokenizer beside the weights: commands that read text will need --tokenizer");
  outcome.results.push_back({{"model", options.in.string()},
                             {"out", options.out.string()},
                             {"parameters", conversion.parameters},
                             {"bytes", conversion.bytes}});
  outcome.text = format_number(static_cast<double>(conversion.parameters)) + " parameters\n" +
                 options.out.string() + "\n";
  return outcome;
}

}  // namespace bilens
