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
          [model](const fs::path& folder) { save_classifier(folder, model); }};
}

Conversion convert_paper_transformer(const ConvertRunOptions& options, const Weights& weights) {
  auto decoder = load_paper_transformer(weights);
  const LanguageModel model{options.in, decoder.config(), weights};
  if (!options.tokenizer.empty()) open_tokenizer(model, options.tokenizer);
  const auto parameters = model.config.parameter_count();
  return {parameters, kFloatBytes * parameters, [options, decoder, model](const fs::path& folder) {
            save_llama(folder, decoder.parameters(), decoder.config());
            copy_tokenizer(model, options.tokenizer, folder);
          }};
}

Conversion convert_llama(const ConvertRunOptions& options) {
  const auto model = open_language_model(options.in);
  if (!options.tokenizer.empty()) open_tokenizer(model, options.tokenizer);
  const auto parameters = model.config.parameter_count();
  return {parameters, bytes_of(model.config), [options, model](const fs::path& folder) {
            save_llama(folder, stored_parameters(model.weights, model.config), model.config);
            copy_generation_config(model, folder);
            copy_tokenizer(model, options.tokenizer, folder);
          }};
}

/// Whether the folder's tokenizer.model is none of SentencePiece's: Llama 3 calls a list of tiktoken's so.
bool has_other_tokenizer(const fs::path& folder) {
  if (!fs::exists(folder / "tokenizer.model")) return false;
  try {
    Tokenizer tokenizer(folder / "tokenizer.model");
  } catch (const Error&) {
    return true;
  }
  return false;
}

Conversion convert_meta(const ConvertRunOptions& options) {
  if (options.gate != "auto" && options.gate != "silu")
    throw Error(ExitCode::kUsage,
                {"--gate", "silu, the gate of Meta's Llamas", options.gate, "Leave it out."});
  const auto files = open_meta_files(options.in);
  const auto found = read_meta_llama(files);
  const LanguageModel model{options.in, found.config, files.parts.front()};
  if (!options.tokenizer.empty()) open_tokenizer(model, options.tokenizer);
  const auto parameters = found.config.parameter_count();
  return {parameters, bytes_of(found.config), [options, found, model](const fs::path& folder) {
            save_llama(folder, found.parameters, found.config);
            const auto beside = fs::is_directory(options.in) ? options.in : options.in.parent_path();
            if (!options.tokenizer.empty() || !has_other_tokenizer(beside))
              copy_tokenizer(model, options.tokenizer, folder);
          }};
}

/// Some of what is read.
Weights weights_of(const fs::path& in) {
  return is_meta_folder(in) ? open_meta_files(in).parts.front() : Weights(in);
}

Conversion prepare(const ConvertRunOptions& options) {
  if (is_meta_folder(options.in)) return convert_meta(options);
  const Weights weights(options.in);
  const auto found = find_paper_classifier(weights);
  if (found || options.gate != "auto") {
    const auto gate =
        choose_gate(read_architecture(weights), MlpConvention::kPlain, options.gate, options.in.string());
    if (found) return convert_classifier(options, weights, *found, gate);
  }
  if (is_paper_transformer(weights)) return convert_paper_transformer(options, weights);
  if (has_meta_names(weights)) return convert_meta(options);
  return convert_llama(options);
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
  const auto conversion = prepare(named);
  if (options.dry_run) {
    outcome.estimate = {{"memory_bytes", peak_memory() + conversion.bytes},
                        {"disk_bytes", conversion.bytes},
                        {"seconds", measure_seconds(weights_of(named.in), conversion.bytes, named.out)}};
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
