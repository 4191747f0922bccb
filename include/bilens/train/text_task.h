#pragma once

#include <functional>
#include <optional>

#include "bilens/data/text_data.h"
#include "bilens/data/token_windows.h"
#include "bilens/dist/ranks.h"
#include "bilens/model/decoder.h"
#include "bilens/model/sampler.h"
#include "bilens/records/estimate.h"
#include "bilens/train/step_config.h"
#include "bilens/train/training_task.h"

namespace bilens {

/// What the model is asked to continue whenever it is validated.
struct SampleConfig {
  std::string prompt;
  int64_t max_tokens = 100;
  double temperature = 0.0;

  static const FieldTable<SampleConfig>& fields();
};

/// The prompt with the model's continuation. @param seed of the draws, where the temperature is above 0
std::string sample_text(Decoder& model, const Tokenizer& tokenizer, const SampleConfig& config,
                        uint64_t seed);

/// How a language model is trained.
struct TextTrainConfig : StepConfig {
  TextTrainConfig();

  int64_t micro_batch = 0;
  at::ScalarType compute = at::kFloat;
  bool checkpoint_layers = false;
  int64_t validation_tokens = 1'000'000;
  SampleConfig sample;

  static const FieldTable<TextTrainConfig>& fields();

  /// @param sequences of one epoch
  int64_t total_steps(int64_t sequences) const;
  /// Sequences that are computed at once.
  int64_t sequences_at_once() const {
    return micro_batch > 0 ? std::min(micro_batch, batch_size) : batch_size;
  }
};

/// Adds these keys to the table of a struct that is or extends TextTrainConfig.
template <class C>
FieldTable<C>& add_text_train_fields(FieldTable<C>& table) {
  at::ScalarType C::*const compute = &C::compute;
  at::ScalarType C::*const moments = &C::moments;
  Algorithm C::*const algorithm = &C::algorithm;
  SampleConfig C::*const sample = &C::sample;
  return add_step_fields(table, "sequences")
      .integer("micro_batch", &C::micro_batch,
               "Sequences computed at once, the rest of a batch after them; 0: all.", between(0, 1e7),
               "sequences")
      .choice("compute", compute,
              "What matrix products are computed in; weights and gradients stay in float32.",
              {{"float32", at::kFloat}, {"bfloat16", at::kBFloat16}})
      .choice(
          "optimizer", algorithm,
          "AdamW, or Muon for the matrices between hidden layers and AdamW for the rest, at the same rate.",
          {{"adamw", Algorithm::kAdamW}, {"muon", Algorithm::kMuon}})
      .choice("moments", moments,
              "What the optimizer's moments are kept in; bfloat16 takes half the memory, the second rounded "
              "at random.",
              {{"float32", at::kFloat}, {"bfloat16", at::kBFloat16}})
      .flag("checkpoint_layers", &C::checkpoint_layers,
            "Compute the inside of each layer again for its gradients: less memory, a third more work.")
      .integer("validation_tokens", &C::validation_tokens,
               "Read at most of the validation part, from its start.", between(2, 1e12), "tokens")
      .nested("sample", sample, SampleConfig::fields());
}

/// The parts of a text; validation and test may be empty.
struct TextParts {
  TokenStream train, validation, test;
};

/// Bytes of the state that a run moves.
struct StateSize {
  int64_t weights = 0;  // float32
  int64_t moments = 0;
};

/// The state of a run that moves some parameters. @param moves whether a parameter of this name does
StateSize state_size(const DecoderConfig& model, const TextTrainConfig& config,
                     const std::function<bool(const std::string&)>& moves);
/// The state of a run that moves every parameter.
StateSize state_size(const DecoderConfig& model, const TextTrainConfig& config);

/// Floating-point operations of one token in sequences of `context`: those of the matrix products with the
/// weights and of causal attention, which sees half of a sequence on average.
double forward_flops(const DecoderConfig& config, int64_t context);
/// Operations to train on one token: three times those of the forward pass.
double training_flops(const DecoderConfig& config, int64_t context);

/// A language model with cross-entropy on the next token: windows of a stream, a batch in parts whose
/// gradients add up with the weight of their tokens.
class TextTask : public TrainingTask {
 public:
  /// @param tokenizer for the samples; none are made without @param ranks who share each batch
  /// @throws Error(kBadInput) when the training part is shorter than one sequence
  TextTask(Decoder& model, const TextParts& data, const TextDataConfig& text, const TextTrainConfig& config,
           const std::optional<Tokenizer>& tokenizer, const Ranks& ranks = Ranks::one());

  NamedTensors parameters() const override { return model_.parameters(); }
  int64_t total_steps() const override { return config_.total_steps(windows_.windows_per_epoch()); }
  double epochs_after(int64_t steps) const override;
  TrainedOn unit() const override { return TrainedOn::kTokens; }
  int64_t units_after(int64_t steps) const override { return steps * config_.batch_size * text_.context; }
  double flops_per_unit() const override { return training_flops(model_.config(), text_.context); }
  at::ScalarType compute_dtype() const override { return config_.compute; }
  at::Tensor compute_gradients(int64_t step) override;
  std::vector<Observation> validate(int64_t step) override;
  void save_model(const std::filesystem::path& directory) const override;
  at::Tensor saved_parameter(const Weights& weights, const std::string& name) const override;

  static TrainingMemory memory(const DecoderConfig& model, const TextTrainConfig& config, int64_t context,
                               at::Device device) {
    auto memory = state_memory(state_size(model, config), config, context, device);
    memory.activations = activation_memory(model, config, context, device, false);
    return memory;
  }

 protected:
  static TrainingMemory state_memory(const StateSize& state, const TextTrainConfig& config, int64_t context,
                                     at::Device device);
  static int64_t activation_memory(const DecoderConfig& model, const TextTrainConfig& config, int64_t context,
                                   at::Device device, bool taught);

  /// The loss of some sequences, summed over their tokens.
  virtual at::Tensor loss_sum(const at::Tensor& tokens, const at::Tensor& targets,
                              const ForwardOptions& options) {
    return model_.loss_sum(tokens, targets, options);
  }

 private:
  Decoder& model_;
  const TextParts& data_;
  TextDataConfig text_;
  TextTrainConfig config_;
  std::optional<Tokenizer> tokenizer_;
  const Ranks& ranks_;
  TrainingWindows windows_;
  at::Device device_;
};

}  // namespace bilens
