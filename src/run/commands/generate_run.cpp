#include "bilens/run/generate_run.h"

#include "bilens/core/log.h"
#include "bilens/core/memory.h"
#include "bilens/core/progress.h"
#include "bilens/model/generation.h"
#include "bilens/tensor/device.h"
#include "models/language_model.h"
#include "models/model_arguments.h"

namespace bilens {

namespace {

void check_length(const GenerateRunOptions& options, const LanguageModel& model, size_t prompt) {
  if (static_cast<int64_t>(prompt) < model.config.max_position_embeddings) return;
  throw Error(
      ExitCode::kUsage,
      {"--prompt",
       "fewer than the model's " + std::to_string(model.config.max_position_embeddings) + " positions",
       std::to_string(prompt) + " tokens",
       "Shorten the prompt of " + std::to_string(options.prompt.size()) + " bytes."});
}

}  // namespace

Outcome run_generation(const GenerateRunOptions& options,
                       const std::function<void(const std::string&)>& show) {
  const auto device = choose_device(options.device);
  set_threads(options.threads);
  const auto source = open_generating_model(find_model(options.model));
  const auto tokenizer = open_tokenizer(source, options.tokenizer);
  const auto prompt = tokenizer.encode_prompt(options.prompt);
  check_length(options, source, prompt.size());
  Outcome outcome;
  if (options.dry_run) {
    outcome.estimate = {{"memory_bytes", peak_memory() + source.config.parameter_count() * 4},
                        {"disk_bytes", 0},
                        {"seconds", nullptr}};
    return outcome;
  }
  DecoderLoadOptions load;
  load.device = device;
  load.copy = true;
  auto model = source.load(load);
  std::string text;
  StreamingDecoder decoder(tokenizer);
  const auto say = [&](const std::string& part) {
    text += part;
    show(part);
  };
  for (const auto token : prompt) say(decoder.next(token));
  const auto result = continue_tokens(model, prompt, options.max_tokens, options.sampler,
                                      [&](int32_t token) { say(decoder.next(token)); });
  say(decoder.finish());
  show("\n");
  const auto count = static_cast<double>(result.tokens.size());
  const double rate = result.seconds > 0 ? count / result.seconds : 0.0;
  outcome.results.push_back({{"model", options.model.string()},
                             {"prompt", options.prompt},
                             {"text", text},
                             {"tokens", result.tokens},
                             {"stopped", result.ended ? "end" : "length"},
                             {"tokens_per_second", rate}});
  log_info(format_number(rate) + " tokens/s");
  return outcome;
}

}  // namespace bilens
