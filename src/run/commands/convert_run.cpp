#include "bilens/run/convert_run.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>

#include "bilens/core/disk.h"
#include "bilens/core/files.h"
#include "bilens/core/log.h"
#include "bilens/core/memory.h"
#include "bilens/core/progress.h"
#include "bilens/core/stopwatch.h"
#include "bilens/model/family.h"
#include "bilens/model/model_directory.h"
#include "convert_result.h"
#include "layers/gate_choice.h"
#include "models/language_model.h"
#include "models/model_arguments.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

/// What is written: as many parameters in as many bytes, by a function that fills a folder.
struct ModelToWrite {
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
  const Stopwatch watch;
  int64_t read = 0;
  for (const auto& [name, info] : weights.tensors()) {
    if (read > kEnough) break;
    const auto copy = weights.tensor(name).clone();
    read += static_cast<int64_t>(copy.nbytes());
  }
  const double second = read > 0 ? watch.seconds() / static_cast<double>(read) : 0;
  return static_cast<double>(bytes) * (second + 1 / writing);
}

int64_t bytes_of(const DecoderConfig& config) {
  return config.parameter_count() * static_cast<int64_t>(c10::elementSize(config.dtype));
}

/// @throws Error(kBadInput) for a gate that our classifiers do not have
Gate classifier_gate(const GateChoice& gate) {
  if (gate.gate) return *gate.gate;
  throw Error(ExitCode::kBadInput, {"gate", "none, silu, gelu or relu", gate.name + ", by " + gate.source,
                                    "Image classifiers here have no other gate."});
}

ModelToWrite convert_classifier(const ConvertRunOptions& options, const Weights& weights,
                                ForeignClassifier found, const GateChoice& gate) {
  if (!options.tokenizer.empty()) {
    throw Error(ExitCode::kUsage, {"--tokenizer", "a language model", "an image classifier", ""});
  }
  found.config.gate = classifier_gate(gate);
  const auto model = load_foreign_classifier(weights, found);
  const auto parameters = found.config.parameter_count();
  return {parameters, static_cast<int64_t>(sizeof(float)) * parameters,
          [model](const fs::path& folder) { save_classifier(folder, model); }, weights};
}

ModelToWrite convert_decoder(const ConvertRunOptions& options, const StoredModel& stored) {
  const auto model = open_language_model(stored);
  if (!options.tokenizer.empty()) open_tokenizer(model, options.tokenizer);
  const auto parameters = model.config.parameter_count();
  return {parameters, bytes_of(model.config),
          [options, model](const fs::path& folder) {
            save_decoder(folder, stored_parameters(model.weights(), model.config), model.config);
            copy_generation_config(model, folder);
            copy_tokenizer(model, options.tokenizer, folder);
          },
          model.weights()};
}

/// Whether the model's tokenizer.model is none of SentencePiece's: Meta's Llama 3 calls a list of tiktoken's
/// so.
bool has_other_tokenizer(const LanguageModel& model) {
  if (!has_tokenizer(model)) return false;
  try {
    model.tokenizer(model.stored.folder());
  } catch (const Error&) {
    return true;
  }
  return false;
}

ModelToWrite convert_foreign(const ConvertRunOptions& options, const StoredModel& stored,
                             const ForeignDecoder& found, std::optional<Gate> asked) {
  const auto& gate = gate_name(found.config.hidden_act);
  if (asked && asked != found.config.hidden_act) {
    throw Error(ExitCode::kUsage,
                {"--gate", gate + ", the gate of this model", gate_name(*asked), "Leave it out."});
  }
  const LanguageModel model{stored, found.config};
  if (!options.tokenizer.empty()) open_tokenizer(model, options.tokenizer);
  return {found.config.parameter_count(), bytes_of(found.config),
          [options, found, model](const fs::path& folder) {
            save_decoder(folder, found.parameters, found.config);
            if (!options.tokenizer.empty() || !has_other_tokenizer(model))
              copy_tokenizer(model, options.tokenizer, folder);
          },
          found.sources.front()};
}

ModelToWrite prepare(const ConvertRunOptions& options, const StoredModel& model, std::optional<Gate> asked) {
  const auto gate = [&] {
    return choose_gate(read_architecture(model), nullptr, asked, options.in.string());
  };
  if (const auto decoder = read_foreign_decoder(model))
    return convert_foreign(options, model, *decoder, asked);
  if (const auto classifier = find_foreign_classifier(model))
    return convert_classifier(options, model.weights(), *classifier, gate());
  if (asked) gate();  // a contradiction is an error
  return convert_decoder(options, model);
}

}  // namespace

const RecordTable<ConvertResult>& ConvertResult::record() {
  using R = ConvertResult;
  static const auto table = RecordTable<R>()
                                .field("model", &R::model, "What was read, as it was named.")
                                .field("out", &R::out, "The model directory that was written.")
                                .field("parameters", &R::parameters, "How many numbers the weights are.")
                                .field("bytes", &R::bytes, "Size of the weights.", "bytes");
  return table;
}

std::optional<Gate> parse_gate(const std::string& word) {
  if (word == "auto") return std::nullopt;
  if (const auto gate = gate_named(word)) return gate;
  std::vector<std::string> words;
  for (const auto& named : gate_names()) words.push_back(named.first);
  throw Error(ExitCode::kUsage, {"--gate", join(words), "\"" + word + "\"", ""});
}

Outcome run_convert(const ConvertRunOptions& options) {
  Outcome outcome;
  if (options.out.empty()) throw Error(ExitCode::kUsage, {"OUT", "an empty or new folder", "\"\"", ""});
  require_empty_directory(options.out, "Name another folder.");
  auto named = options;
  named.in = find_model(options.in.string());
  const auto conversion = prepare(named, named.in, options.gate);
  if (options.dry_run) {
    auto& estimate = outcome.estimate.emplace();
    estimate.memory_bytes = peak_memory() + conversion.bytes;
    estimate.disk_bytes = conversion.bytes;
    estimate.seconds = measure_seconds(conversion.read, conversion.bytes, named.out);
    return outcome;
  }
  AtomicDirectory folder(options.out);
  conversion.save(folder.path());
  const bool without_tokenizer =
      fs::exists(folder.path() / "generation_config.json") && !Tokenizer::is_beside(folder.path());
  folder.commit();
  if (without_tokenizer)
    log_warning("no tokenizer beside the weights: commands that read text will need --tokenizer");
  const ConvertResult result{options.in.string(), options.out.string(), conversion.parameters,
                             conversion.bytes};
  outcome.results.push_back(result.record().write(result));
  outcome.text = format_number(static_cast<double>(result.parameters)) + " parameters\n" + result.out + "\n";
  return outcome;
}

}  // namespace bilens
