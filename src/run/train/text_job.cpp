#include "bilens/core/files.h"
#include "bilens/core/log.h"
#include "bilens/core/text.h"
#include "bilens/data/token_file.h"
#include "bilens/data/tokenizer_training.h"
#include "bilens/model/decoder_directory.h"
#include "bilens/model/training_decoder.h"
#include "bilens/records/training_result.h"
#include "bilens/tensor/device.h"
#include "bilens/tensor/product_rate.h"
#include "bilens/tensor/random.h"
#include "bilens/train/measured_step.h"
#include "bilens/train/text_evaluation.h"
#include "bilens/train/text_task.h"
#include "job_of_config.h"
#include "models/packing.h"
#include "text_parts.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

/// The config of a language model's run.
struct TextRunConfig : RunConfig {
  DecoderConfig model;
  TextDataConfig data;
  TextTrainConfig train;

  static const FieldTable<TextRunConfig>& fields();
};

const FieldTable<TextRunConfig>& TextRunConfig::fields() {
  using C = TextRunConfig;
  static const FieldTable<C> table = [] {
    FieldTable<C> fields("Config of `bilens train`: a language model from scratch.");
    fields.integer("format_version", &C::format_version, "Version of this file's format.", between(1, 1))
        .custom("model", &C::model, training_decoder_schema(), read_training_decoder, write_training_decoder)
        .without_default()
        .nested("data", &C::data, TextDataConfig::fields())
        .nested("train", &C::train, TextTrainConfig::fields());
    return add_run_fields(fields);
  }();
  return table;
}

/// Whether a config says how many tokens there are, which else the tokenizer does.
bool gives_vocabulary(const Json& config) {
  const Json* model = TextRunConfig::fields().find(config, &TextRunConfig::model);
  return model != nullptr &&
         DecoderConfig::architecture_fields().find(*model, &DecoderConfig::vocab_size) != nullptr;
}

class TextJob : public JobOfConfig<TextRunConfig> {
 public:
  TextJob(const Json& config, const std::string& where)
      : JobOfConfig(config, where), where_(where), vocabulary_given_(gives_vocabulary(config)) {}

  void prepare() override {
    if (!config_.data.tokenizer.empty()) take_tokenizer();
    std::vector<Problem> problems;
    choose_tokens(problems);
    const auto begins_document =
        tokens_that_begin_documents(config_.data, config_.model.bos_token_id, config_.model.eos_token_id);
    check_training_text(config_.data, key_path(where_, "data"), tokenizer_.has_value(),
                        !begins_document.empty());
    config_.model.resolve(key_path(where_, "model"), problems);
    const int64_t positions = config_.model.max_position_embeddings;
    if (config_.data.context > positions) {
      problems.push_back({key_path(key_path(where_, "data"), "context"),
                          "at most the model's " + std::to_string(positions) + " positions",
                          std::to_string(config_.data.context),
                          "Shorten it, or raise model.max_position_embeddings."});
    }
    check_packing(config_.model, config_.data, key_path(where_, "data"), problems);
    if (!problems.empty()) throw Error(ExitCode::kUsage, problems);
    parts_ = load_text_parts(config_.data, tokenizer_, config_.model.vocab_size, begins_document,
                             config_.train.validation_tokens);
    sequences_ = sequences_of_epoch(parts_.train, config_.data, config_.train, key_path(where_, "train"));
  }

  std::vector<fs::path> data_files() const override { return text_files(config_.data, tokenizer_); }

  Estimate estimate(at::Device device) const override {
    const auto [weights, moments] = state_size(config_.model, config_.train);
    const int64_t checkpoints =
        config_.checkpoint.keep_last + 1;                 // the new one stands before the oldest goes
    measure_product_rate(device, config_.train.compute);  // as the run does, which needs its memory
    const auto memory = TextTask::memory(config_.model, config_.train, config_.data.context, device);
    auto plan = memory_plan(device, memory.total());
    plan.memory = memory;
    plan.disk_bytes = checkpoints * (weights + moments) + weights + steps() * 400;
    return plan;
  }

  double seconds(at::Device device) const override {
    auto model = new_model(device);
    auto part = config_.train;
    part.batch_size = part.sequences_at_once();
    TextTask task(model, parts_, config_.data, part, tokenizer_);
    const double training = static_cast<double>(steps()) * measure_step(task, config_.train);
    const double evaluating =
        measure_reading(parts_.validation, config_.data.context,
                        [&](const TokenStream& some) { evaluate_text(model, some, config_.data.context); });
    const int64_t read =
        count_validations(config_.train, steps()) * parts_.validation.size() + parts_.test.size();
    return training + static_cast<double>(read) * evaluating;
  }

  TrainingResult train(at::Device device, const RunPlace& place) override {
    const auto& [out, resume, folder, data, ranks] = place;
    auto model = new_model(device);
    log_info(format_number(static_cast<double>(config_.model.parameter_count())) + " parameters, " +
             format_number(static_cast<double>(parts_.train.size())) + " training tokens, on " +
             describe_device(device));
    TextTask task(model, parts_, config_.data, config_.train, tokenizer_, ranks);
    Trainer trainer(task, config_.train, config_.checkpoint, out, resume, data, ranks);
    const auto summary = trainer.run();
    if (!ranks.first()) return {};
    model.compute_in(at::kFloat);
    const auto tested = evaluate_test(model);
    if (tested) {
      auto metrics = metrics_of(*tested, EvaluationMetrics::kTest);
      metrics.step = summary.steps;
      metrics.epoch = task.epochs_after(summary.steps);
      trainer.record(metrics);
    }
    AtomicDirectory directory(folder);
    save_decoder(directory.path(), model.parameters(), model.config());
    if (tokenizer_) save_tokenizer(directory.path(), *tokenizer_);
    directory.commit();
    return {outcome_of(tested, folder), summary, task.unit()};
  }

  Outcome test(at::Device device, const fs::path& folder) override {
    DecoderLoadOptions load;
    load.device = device;
    auto model = load_decoder(folder, load);
    return outcome_of(evaluate_test(model), folder);
  }

 private:
  int64_t steps() const { return config_.train.total_steps(sequences_); }

  Decoder new_model(at::Device device) const {
    return {config_.model, device, derive_seed(static_cast<uint64_t>(config_.train.seed), "initial weights")};
  }

  void take_tokenizer() {
    tokenizer_.emplace(config_.data.tokenizer);
    auto& model = config_.model;
    if (!vocabulary_given_) model.vocab_size = tokenizer_->vocabulary_size();
    tokenizer_->require_fits(model.vocab_size, key_path(where_, "model"));
    tokenizer_ = tokenizer_->within(model.vocab_size);
  }

  /// BOS and EOS as the config says, else as the tokenizer.
  void choose_tokens(std::vector<Problem>& problems) {
    std::optional<int64_t> bos;
    std::vector<int64_t> eos;
    if (tokenizer_ && tokenizer_->eos() >= 0) eos.push_back(tokenizer_->eos());
    // Documents follow each other with nothing but a BOS between them, so that is what their end looks like.
    if (tokenizer_ && tokenizer_->bos() >= 0) {
      bos = tokenizer_->bos();
      eos.push_back(tokenizer_->bos());
    }
    const auto where = key_path(where_, "model");
    config_.model.choose_tokens(bos, eos, where, problems);
    if (bos && config_.data.dataset == TextSet::kText && config_.model.bos_token_id != bos) {
      problems.push_back({key_path(where, "bos_token_id"),
                          std::to_string(*bos) + ", the tokenizer's, which stands before each story",
                          std::to_string(config_.model.bos_given.value_or(-1)),
                          "Leave it out, or use another tokenizer."});
    }
  }

  /// On the test part, where there is one.
  std::optional<TextEvaluation> evaluate_test(Decoder& model) const {
    if (parts_.test.size() < 2) return std::nullopt;
    return evaluate_text(model, parts_.test, config_.data.context);
  }

  static Outcome outcome_of(const std::optional<TextEvaluation>& test, const fs::path& folder) {
    Outcome outcome;
    TextResult result;
    result.model = folder.string();
    if (test) {
      result.tokens = test->tokens;
      result.loss = test->loss;
      result.perplexity = test->perplexity();
      outcome.text = format("test loss %.4f nats/token, perplexity %.3f\n", test->loss, test->perplexity());
    }
    outcome.results.push_back(TextResult::record().write(result));
    outcome.text += result.model + "\n";
    return outcome;
  }

  std::string where_;
  bool vocabulary_given_;
  std::optional<Tokenizer> tokenizer_;
  TextParts parts_;
  int64_t sequences_ = 0;
};

}  // namespace

std::unique_ptr<TrainingJob> make_text_job(const Json& config, const std::string& where) {
  return std::make_unique<TextJob>(config, where);
}

Json text_job_schema() { return TextRunConfig::fields().schema(); }

}  // namespace bilens
