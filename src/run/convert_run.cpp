#include "bilens/run/convert_run.h"

#include "bilens/core/files.h"
#include "bilens/core/memory.h"
#include "bilens/core/progress.h"
#include "bilens/run/language_model.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

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
  copy_tokenizer(model, options.tokenizer, folder.path());
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
