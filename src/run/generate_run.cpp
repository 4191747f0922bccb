#include "bilens/run/generate_run.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>

#include "bilens/core/log.h"
#include "bilens/core/memory.h"
#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/run/language_model.h"
#include "bilens/tensor/device.h"

namespace bilens {

namespace {

struct Continuation {
  std::vector<int32_t> tokens;  // new ones
  std::string text;             // of prompt and new ones
  bool ended = false;           // by the model
  double seconds = 0.0;         // of the new ones
};

bool contains(const std::vector<int64_t>& values, int64_t value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

Continuation continue_prompt(LlamaDecoder& model, const Tokenizer& tokenizer,
                             const std::vector<int32_t>& prompt, const GenerateRunOptions& options,
                             const std::function<void(const std::string&)>& show) {
  const at::NoGradGuard no_grad;
  const auto device = model.parameters().front().second.device();
  const auto length = static_cast<int64_t>(prompt.size());
  const int64_t capacity = std::min(length + options.max_tokens, model.config().max_position_embeddings);
  auto cache = model.make_cache(1, capacity);
  const auto logits_after = [&](const at::Tensor& tokens) {
    return model.next_logits(tokens.to(device, at::kLong).unsqueeze(0), cache).squeeze(0);
  };
  Continuation result;
  StreamingDecoder decoder(tokenizer);
  const auto say = [&](const std::string& text) {
    result.text += text;
    show(text);
  };
  for (const auto token : prompt) say(decoder.next(token));
  auto logits = logits_after(at::tensor(prompt, at::kInt));
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t position = length; position < capacity; ++position) {
    if (stop_requested()) throw Stopped{};
    const auto token = static_cast<int32_t>(sample_token(logits, options.sampler, position));
    result.ended = contains(model.config().eos_token_id, token);
    if (result.ended) break;
    result.tokens.push_back(token);
    say(decoder.next(token));
    if (position + 1 < capacity) logits = logits_after(at::tensor({token}, at::kInt));
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  say(decoder.finish());
  return result;
}

void check(const GenerateRunOptions& options, const LanguageModel& model, size_t prompt) {
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
  const auto source = open_language_model(options.model);
  const auto tokenizer = open_tokenizer(source, options.tokenizer);
  const auto prompt = tokenizer.encode_with_bos(options.prompt);
  check(options, source, prompt.size());
  Outcome outcome;
  if (options.dry_run) {
    outcome.estimate = {{"memory_bytes", peak_memory() + source.config.parameter_count() * 4},
                        {"disk_bytes", 0},
                        {"seconds", nullptr}};
    return outcome;
  }
  LlamaLoadOptions load;
  load.device = device;
  load.copy = true;
  auto model = source.load(load);
  const auto result = continue_prompt(model, tokenizer, prompt, options, show);
  const auto count = static_cast<double>(result.tokens.size());
  const double rate = result.seconds > 0 ? count / result.seconds : 0.0;
  outcome.results.push_back({{"model", options.model.string()},
                             {"prompt", options.prompt},
                             {"text", result.text},
                             {"tokens", result.tokens},
                             {"stopped", result.ended ? "end" : "length"},
                             {"tokens_per_second", rate}});
  log_info(format_number(rate) + " tokens/s");
  return outcome;
}

}  // namespace bilens
