#include "bilens/train/text_task.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/core/memory.h"
#include "bilens/core/stop.h"
#include "bilens/core/text.h"
#include "bilens/model/decoder_directory.h"
#include "bilens/model/generation.h"
#include "bilens/nn/cross_entropy.h"
#include "bilens/tensor/random.h"
#include "bilens/train/sharded_gradients.h"
#include "bilens/train/text_evaluation.h"

namespace bilens {

const FieldTable<SampleConfig>& SampleConfig::fields() {
  using C = SampleConfig;
  static const FieldTable<C> table =
      FieldTable<C>("What the model is asked to continue at each validation; it goes to metrics.jsonl.")
          .text("prompt", &C::prompt, "Text to continue; empty: none.")
          .integer("max_tokens", &C::max_tokens, "New tokens at most.", between(1, 1e6), "tokens")
          .number("temperature", &C::temperature, "0: the likeliest token each time.", at_least(0.0));
  return table;
}

TextTrainConfig::TextTrainConfig() {
  epochs = 1;
  batch_size = 32;
  weight_decay = 0.1;
  beta2 = 0.95;
  clip_norm = 1.0;
}

const FieldTable<TextTrainConfig>& TextTrainConfig::fields() {
  using C = TextTrainConfig;
  static const FieldTable<C> table = [] {
    FieldTable<C> fields("How the model is trained, on the cross-entropy of the next token.");
    return add_text_train_fields(fields);
  }();
  return table;
}

int64_t TextTrainConfig::total_steps(int64_t sequences) const {
  return steps > 0 ? steps : (epochs * sequences + batch_size - 1) / batch_size;
}

double forward_flops(const DecoderConfig& config, int64_t context) {
  const auto embedding = config.vocab_size * config.hidden_size;
  // Looking up an embedding is no product; a tied one is the head's.
  const int64_t weights = config.parameter_count() - (config.tie_word_embeddings ? 0 : embedding);
  const int64_t attention =
      config.num_hidden_layers * config.num_attention_heads * config.head_dim * 2 * context / 2;
  return 2.0 * static_cast<double>(weights + attention);
}

double training_flops(const DecoderConfig& config, int64_t context) {
  return 3.0 * forward_flops(config, context);
}

StateSize state_size(const DecoderConfig& model, const TextTrainConfig& config,
                     const std::function<bool(const std::string&)>& moves) {
  StateSize size;
  for (const auto& [name, shape] : model.parameter_shapes()) {
    if (!moves(name)) continue;
    size.weights += 4 * c10::multiply_integers(shape);
    size.moments += moment_bytes(name, shape, config.optimizer());
  }
  return size;
}

StateSize state_size(const DecoderConfig& model, const TextTrainConfig& config) {
  return state_size(model, config, [](const std::string&) { return true; });
}

TrainingMemory TextTask::state_memory(const StateSize& state, const TextTrainConfig& config, int64_t context,
                                      at::Device device) {
  const int64_t gradients = gradient_copies(
      cut_batch(device, state.weights, config.batch_size, context, config.sequences_at_once()));
  return {state.weights, gradients * state.weights, state.moments, 0, {}};
}

int64_t TextTask::activation_memory(const DecoderConfig& model, const TextTrainConfig& config,
                                    int64_t context, at::Device device, bool taught) {
  const int64_t tokens = config.sequences_at_once() * context;
  const auto width = static_cast<int64_t>(c10::elementSize(config.compute));
  const int64_t heads = model.num_attention_heads * model.head_dim;
  const int64_t qkv = heads + 2 * model.num_key_value_heads * model.head_dim;
  // Input, norm and output of both blocks; queries, keys and values; attention's output; gate and up.
  const int64_t layer = 5 * model.hidden_size + qkv + heads + 2 * model.intermediate_size;
  const int64_t kept = config.checkpoint_layers ? model.hidden_size * model.num_hidden_layers + layer
                                                : layer * model.num_hidden_layers;
  return tokens * width * (kept + 2 * model.intermediate_size + 4 * model.hidden_size) +
         loss_memory(tokens, model.vocab_size, device, taught);
}

TextTask::TextTask(Decoder& model, const TextParts& data, const TextDataConfig& text,
                   const TextTrainConfig& config, const std::optional<Tokenizer>& tokenizer,
                   const Ranks& ranks)
    : model_(model),
      data_(data),
      text_(text),
      config_(config),
      tokenizer_(tokenizer),
      ranks_(ranks),
      windows_(data.train.size(), text.context, config.batch_size, static_cast<uint64_t>(config.seed),
               text.path),
      device_(model.parameters().front().second.device()) {
  model_.require_gradients(true);
  model_.compute_in(config.compute);
  model_.prepare_positions(text.context);
}

double TextTask::epochs_after(int64_t steps) const {
  return static_cast<double>(steps * config_.batch_size) / static_cast<double>(windows_.windows_per_epoch());
}

at::Tensor TextTask::compute_gradients(int64_t step) {
  model_.prepare_positions(text_.context);  // as they were before an evaluation; threads only read them
  const auto windows = windows_.batch(step);
  const auto rows = static_cast<int64_t>(windows.begins.size());
  const auto moving = parameters();
  int64_t bytes = 0;
  for (const auto& [name, parameter] : moving) bytes += static_cast<int64_t>(parameter.nbytes());
  const auto shards = cut_batch(device_, bytes, rows, text_.context, config_.sequences_at_once(),
                                ranks_.rank(), ranks_.count());
  const auto loss = add_gradients(moving, shards, [&](int64_t begin, int64_t end) {
    const auto from = windows.begins.begin();
    const auto batch = make_batch(data_.train, {from + begin, from + end}, windows.window);
    ForwardOptions options;
    if (text_.packing == Packing::kDocuments) options.document_starts = batch.document_starts;
    options.checkpoint_layers = config_.checkpoint_layers;
    return loss_sum(batch.inputs.to(device_), batch.targets.to(device_), options) /
           static_cast<double>(rows * text_.context);
  });
  return loss.view({1});
}

std::string sample_text(Decoder& model, const Tokenizer& tokenizer, const SampleConfig& config,
                        uint64_t seed) {
  SamplerConfig sampler;
  sampler.temperature = config.temperature;
  sampler.seed = static_cast<int64_t>(seed >> 11);
  auto tokens = tokenizer.encode_prompt(config.prompt);
  const auto result = continue_tokens(model, tokens, config.max_tokens, sampler, [](int32_t) {});
  tokens.insert(tokens.end(), result.tokens.begin(), result.tokens.end());
  return tokenizer.decode(tokens);
}

std::vector<TrainingTask::Observation> TextTask::validate(int64_t step) {
  std::vector<Observation> seen;
  if (data_.validation.size() >= 2) {
    const auto result = evaluate_text(model_, data_.validation, text_.context, ranks_);
    auto metrics = metrics_of(result, EvaluationMetrics::kValidation);
    metrics.peak_memory = peak_memory();
    seen.push_back({metrics, format("validation loss %.4f nats/token, perplexity %.3f", result.loss,
                                    result.perplexity())});
  }
  if (tokenizer_ && !config_.sample.prompt.empty()) {
    const auto seed = derive_seed(static_cast<uint64_t>(config_.seed), "sample", static_cast<uint64_t>(step));
    bool stopped = false;
    ranks_.on_first([&] {
      try {
        SampleMetrics sample;
        sample.text = sample_text(model_, *tokenizer_, config_.sample, seed);
        seen.push_back({sample, sample.text});
      } catch (const Stopped&) {
        stopped = true;
      }
    });
    if (!ranks_.text_from_first(stopped ? "stopped" : "").empty()) throw Stopped{};
  }
  return seen;
}

void TextTask::save_model(const std::filesystem::path& directory) const {
  auto config = model_.config();
  config.dtype = at::kFloat;  // whatever the finished model is stored in: a resumed run needs every bit
  save_decoder(directory, model_.parameters(), config);
}

at::Tensor TextTask::saved_parameter(const Weights& weights, const std::string& name) const {
  return stored_parameter(weights, model_.config(), name);
}

}  // namespace bilens
