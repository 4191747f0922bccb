#include "bilens/run/convert_run.h"

#include "bilens/core/files.h"
#include "bilens/core/memory.h"
#include "bilens/core/progress.h"
#include "bilens/data/tokenizer_training.h"
#include "bilens/run/language_model.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

/// What tokenizers consist of in the Hugging Face layout.
constexpr const char* kTokenizerFiles[] = {"tokenizer.model", "tokenizer_config.json",
                                           "special_tokens_map.json", "tokenizer.json", "added_tokens.json"};

constexpr size_t kLargestTokenizer = size_t{256} << 20;

void copy_tokenizer(const ConvertRunOptions& options, const fs::path& target) {
  if (!options.tokenizer.empty()) {
    const auto file = Tokenizer(options.tokenizer).path();
    return save_tokenizer(target, read_text(file, kLargestTokenizer, ExitCode::kBadInput));
  }
  if (!fs::is_directory(options.in)) return;
  for (const char* name : kTokenizerFiles) {
    if (fs::is_regular_file(options.in / name)) fs::copy_file(options.in / name, target / name);
  }
}

int64_t bytes_of(const Weights& weights) {
  int64_t bytes = 0;
  for (const auto& [name, info] : weights.tensors())
    bytes += info.elements() * static_cast<int64_t>(c10::elementSize(info.dtype));
  return bytes;
}

}  // namespace

Outcome run_conversion(const ConvertRunOptions& options) {
  Outcome outcome;
  if (options.out.empty() || !is_empty_directory(options.out)) {
    throw Error(ExitCode::kUsage, {options.out.empty() ? "OUT" : options.out.string(),
                                   "an empty or new folder", "files in it", "Name another folder."});
  }
  const auto model = open_language_model(options.in);
  if (!options.tokenizer.empty()) open_tokenizer(model, options.tokenizer);
  const int64_t bytes = bytes_of(model.weights);
  if (options.dry_run) {
    outcome.estimate = {{"memory_bytes", peak_memory() + bytes}, {"disk_bytes", bytes}, {"seconds", nullptr}};
    return outcome;
  }
  AtomicDirectory folder(options.out);
  save_llama(folder.path(), model.load({}).parameters(), model.config);
  copy_tokenizer(options, folder.path());
  folder.commit();
  const auto parameters = model.config.parameter_count();
  outcome.results.push_back({{"model", options.in.string()},
                             {"out", options.out.string()},
                             {"parameters", parameters},
                             {"bytes", bytes}});
  outcome.text =
      format_number(static_cast<double>(parameters)) + " parameters\n" + options.out.string() + "\n";
  return outcome;
}

}  // namespace bilens
