#include "bilens/run/generate_run.h"

#include "bilens/core/log.h"
#include "bilens/core/memory.h"
#include "bilens/core/progress.h"
#include "bilens/model/generation.h"
#include "bilens/tensor/device.h"
#include "generation_result.h"
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

const RecordTable<GenerationResult>& GenerationResult::record() {
  using R = GenerationResult;
  static const auto table =
      RecordTable<R>()
          .field("model", &R::model, "Path of the model.")
          .field("prompt", &R::prompt, "The text that is continued.")
          .field("text", &R::text, "The prompt and what follows it.")
          .field("tokens", &R::tokens, "Ids of the tokens that follow it.")
          .field("stopped", &R::stopped,
                 "\"end\": at a token that ends a text; \"length\": at `--max-tokens`.")
          .field("tokens_per_second", &R::tokens_per_second, "How fast they were found.", "tokens/s");
  return table;
}

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
    auto& estimate = outcome.estimate.emplace();
    estimate.memory_bytes = peak_memory() + source.config.parameter_count() * 4;
    estimate.seconds.reset();
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
  outcome.results.push_back(GenerationResult::record().write({options.model.string(),
                                                              options.prompt,
                                                              text,
                                                              {result.tokens.begin(), result.tokens.end()},
                                                              result.ended ? "end" : "length",
                                                              rate}));
  log_info(format_number(rate) + " tokens/s");
  return outcome;
}

}  // namespace bilens
