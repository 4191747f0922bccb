#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "bilens/core/files.h"
#include "bilens/core/log.h"
#include "bilens/core/memory.h"
#include "bilens/data/token_file.h"
#include "bilens/model/as_llama.h"
#include "bilens/model/widen.h"
#include "bilens/tensor/device.h"
#include "bilens/tensor/product_rate.h"
#include "bilens/tensor/random.h"
#include "bilens/tensor/range.h"
#include "bilens/train/data_files.h"
#include "bilens/train/measured_step.h"
#include "bilens/train/text_evaluation.h"
#include "finetune_account.h"
#include "finetune_config.h"
#include "job_of_config.h"
#include "models/language_model.h"
#include "models/model_arguments.h"
#include "models/packing.h"
#include "text_parts.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

class FinetuneJob : public JobOfConfig<FinetuneRunConfig> {
 public:
  FinetuneJob(const Json& config, const std::string& where, const std::optional<StoredModel>& teacher)
      : JobOfConfig(config, where), where_(where), teacher_(teacher), stages_(config_.stages) {
    if (config_.baseline != Baseline::kNone) {
      stages_.calibrate.reset();
      stages_.anneal.reset();
      stages_.settle = config_.baseline == Baseline::kCold;
    }
  }

  void prepare() override {
    source_ = open_generating_model(teacher_ ? *teacher_ : teacher_on_disk());
    require_weights();
    const auto& model = source_->config;
    std::vector<Problem> problems;
    const auto behind_widen = [&](const std::string& key) {  // where no other stage comes before
      return key_path(where_, (stages_.widen ? "stages[1]." : "stages[0].") + key);
    };
    if (model.is_bilinear()) {
      problems.push_back({config_.teacher + ": hidden_act", "a gate, such as \"silu\"",
                          "\"linear\", a bilinear model", "It needs no conversion."});
    }
    if (stages_.anneal && model.hidden_act != Gate::kSilu) {
      problems.push_back({key_path(where_, "stages"), "no \"anneal\", which is for SiLU gates",
                          "\"" + gate_name(model.hidden_act) + "\" gates", "Calibrate and settle instead."});
    }
    if (config_.data.context < 2 || config_.data.context > model.max_position_embeddings) {
      problems.push_back({key_path(key_path(where_, "data"), "context"),
                          "2 to the model's " + std::to_string(model.max_position_embeddings) + " positions",
                          std::to_string(config_.data.context), ""});
    }
    check_packing(model, config_.data, key_path(where_, "data"), problems);
    if (stages_.calibrate && stages_.calibrate->tokens < 2 * config_.data.context) {
      problems.push_back({behind_widen("tokens"),
                          "at least two windows of data.context, " + std::to_string(2 * config_.data.context),
                          std::to_string(stages_.calibrate->tokens), ""});
    }
    const auto check_layers = [&](const std::optional<std::vector<int64_t>>& layers) {
      for (const int64_t layer : layers.value_or(std::vector<int64_t>())) {
        const bool there = layer < model.num_hidden_layers;
        if (there && model.gate_of(layer) != Gate::kNone) continue;
        problems.push_back({behind_widen("layers"),
                            "gated layers below " + std::to_string(model.num_hidden_layers),
                            std::to_string(layer), there ? "This one is bilinear already." : ""});
      }
    };
    if (stages_.anneal) {
      check_layers(stages_.anneal->layers);
      if (!stages_.anneal->layers) stages_.anneal->layers = model.gated_layers();
    }
    if (stages_.calibrate) check_layers(stages_.calibrate->layers);
    if (config_.train.loss.cross_entropy + config_.train.loss.divergence + config_.train.loss.states == 0)
      problems.push_back({key_path(where_, "train.loss"), "a weight above 0", "none", ""});
    if (!problems.empty()) throw Error(ExitCode::kUsage, problems);
    choose_biases();
    const bool text = config_.data.dataset == TextSet::kText;
    if (text || !config_.data.tokenizer.empty() || !config_.train.sample.prompt.empty())
      tokenizer_ = open_tokenizer(*source_, config_.data.tokenizer);
    auto bos = model.bos_token_id;
    if (tokenizer_ && tokenizer_->bos() >= 0) bos = tokenizer_->bos();
    const auto begins_document = tokens_that_begin_documents(config_.data, bos, model.eos_token_id);
    check_training_text(config_.data, key_path(where_, "data"), true, !begins_document.empty());
    parts_ = load_text_parts(config_.data, tokenizer_, model.vocab_size, begins_document,
                             config_.train.validation_tokens);
    sequences_ = sequences_of_epoch(parts_.train, config_.data, config_.train, key_path(where_, "train"));
  }

  std::vector<fs::path> data_files() const override { return text_files(config_.data, tokenizer_); }

  Estimate estimate(at::Device device) const override {
    const int64_t teacher =
        source_->config.parameter_count() * static_cast<int64_t>(c10::elementSize(teacher_dtype()));
    const auto model = widened_config();
    const auto held = held_dtype(source_->weights(), source_->config);
    const int64_t all = model.parameter_count();
    auto training = FinetuneTask::memory(model, config_.train, config_.data.context, held, device);
    if (!trains()) training = {};
    const int64_t checkpoint = 4 * all + state_size(model, config_.train).moments;
    measure_product_rate(device, config_.train.compute);  // as the run does, which needs its memory
    const int64_t comparing = 4 * all + comparison_memory(model, config_.data.context);
    // One after the other; but what one frees the next does not find in pieces of its sizes.
    const int64_t most = std::max({calibrating(), comparing, training.total()});
    const int64_t rest = calibrating() + comparing + training.total() - most;
    auto plan = memory_plan(device, teacher + most + (device.is_cpu() ? std::min(rest, kKeptMemory) : 0));
    training.conversion = ConversionMemory{teacher, calibrating(), comparing};
    plan.memory = training;
    plan.disk_bytes = (config_.checkpoint.keep_last + 1) * checkpoint + 2 * 4 * all + steps() * 400;
    return plan;
  }

  double seconds(at::Device device) const override {
    double sum = 0.0;
    if (stages_.calibrate) {
      const auto cost = closed_form();
      sum += cost.products / measure_product_rate(device, at::kFloat) +
             cost.solves / measure_product_rate(device, at::kDouble);
    }
    auto teacher = load_teacher(device);
    auto model = swapped(device);  // of a calibrated model's shapes, but for its biases
    const int64_t context = config_.data.context;
    int64_t compared = parts_.validation.size() + parts_.test.size();
    if (trains()) {
      auto part = config_.train;
      part.batch_size = part.sequences_at_once();
      FinetuneTask task(model, teacher, parts_, config_.data, part, stages_.anneal, tokenizer_);
      sum += static_cast<double>(steps()) * measure_step(task, config_.train);
      const double validating = measure_reading(
          parts_.validation, context, [&](const TokenStream& some) { evaluate_text(model, some, context); });
      sum += validating *
             static_cast<double>(count_validations(config_.train, steps()) * parts_.validation.size());
      compared += parts_.validation.size();  // the untrained model
      finish(model);
    }
    const double comparing = measure_reading(parts_.validation, context, [&](const TokenStream& some) {
      compare_text(model, teacher, some, context);
    });
    return sum + comparing * static_cast<double>(compared);
  }

  TrainingResult train(at::Device device, const RunPlace& place) override {
    const auto& [out, resume, folder, data, ranks] = place;
    auto teacher = load_teacher(device);
    ConversionAccount account;
    account.teacher = config_.teacher;
    account.teacher_sha256 = config_.teacher_sha256;
    account.converted = config_.baseline != Baseline::kContinue;
    auto model = begin(teacher, device, place, account);
    TrainSummary summary;
    double flops_per_token = 0;
    std::optional<std::string> untrained;
    model.compute_in(at::kFloat);
    if (trains()) {
      if (stages_.anneal)
        model.set_betas(betas_at(*stages_.anneal, 0, steps(), model.config().num_hidden_layers));
      ranks.on_first([&] {
        account.untrained = seen_on(parts_.validation, model, teacher);
        if (samples()) untrained = sample(model);
      });
      FinetuneTask task(model, teacher, parts_, config_.data, config_.train, stages_.anneal, tokenizer_,
                        ranks);
      Trainer trainer(task, config_.train, config_.checkpoint, out, resume, data, ranks);
      summary = trainer.run();
      account.trained_tokens = task.units_after(summary.steps);
      flops_per_token = task.flops_per_unit();
      finish(model);
    }
    if (!ranks.first()) return {};
    if (stages_.anneal) model = fold_half(model);
    round_as_written(model);
    const auto tokens = static_cast<double>(account.trained_tokens);
    account.teacher_parameters = source_->config.parameter_count();
    account.parameters = model.config().parameter_count();
    account.training_flops = flops_per_token * tokens;
    account.epochs = tokens / static_cast<double>(sequences_ * config_.data.context);
    account.validation = seen_on(parts_.validation, model, teacher);
    account.test = seen_on(parts_.test, model, teacher, out / DocumentLosses::kFile);
    if (samples()) {
      account.samples = SampleTexts{config_.train.sample.prompt, sample(teacher), untrained, sample(model)};
    }

    AtomicDirectory directory(folder);
    auto config = model.config();
    config.dtype = source_->config.dtype;
    save_decoder(directory.path(), model.parameters(), config);
    copy_generation_config(*source_, directory.path());
    copy_tokenizer(*source_, config_.data.tokenizer, directory.path());
    if (account.converted)
      write_record_file(directory.path() / ConversionRecord::kFile, conversion_of(account));
    write_record_file(out / ConversionAccount::kFile, account);
    directory.commit();
    return {outcome_of_account(account, folder), summary, TrainedOn::kTokens};
  }

  Outcome test(at::Device /*device*/, const fs::path& folder) override {
    return outcome_of_account(
        read_record_file<ConversionAccount>(folder.parent_path() / ConversionAccount::kFile), folder);
  }

 private:
  /// Biases that the teacher's family cannot have need a Llama, where that computes the same.
  void choose_biases() {
    const auto& model = source_->config;
    if (!stages_.calibrate || !stages_.calibrate->bias || model.may_have_mlp_bias()) return;
    becomes_llama_ = is_a_llama(model);
    if (becomes_llama_) return;
    stages_.calibrate->bias = config_.stages.calibrate->bias = false;
    log_warning("the fit goes without biases: config.json of a " + model.type +
                " cannot say that there are any, and no Llama computes the same");
  }

  Decoder with_place_for_biases(const Decoder& model) const {
    return becomes_llama_ ? as_llama(model) : model;
  }

  StoredModel teacher_on_disk() const {
    if (!fs::exists(config_.teacher)) {
      throw Error(ExitCode::kBadInput,
                  {key_path(where_, "teacher"), "a model", "nothing at " + config_.teacher,
                   way_to_model(config_.teacher) +
                       " `bilens convert` makes a model directory, scripts/get_model.sh obtains one."});
    }
    return find_model(config_.teacher);
  }

  /// Those that the config was made for; from here on it names them, so that a resumed run has the same.
  void require_weights() {
    const auto sha256 = source_->weights().sha256();
    if (!config_.teacher_sha256.empty() && config_.teacher_sha256 != sha256) {
      throw Error(
          ExitCode::kBadInput,
          {key_path(where_, "teacher_sha256"), sha256 + ", of the weights of " + config_.teacher,
           config_.teacher_sha256, "Name the checkpoint that is meant, or leave teacher_sha256 out."});
    }
    config_.teacher_sha256 = sha256;
  }

  bool trains() const { return stages_.trains() || config_.baseline == Baseline::kContinue; }
  int64_t steps() const { return config_.train.total_steps(sequences_); }

  at::ScalarType teacher_dtype() const {
    return config_.teacher_dtype.value_or(held_dtype(source_->weights(), source_->config));
  }

  Decoder load_teacher(at::Device device) const {
    DecoderLoadOptions load;
    load.device = device;
    load.dtype = teacher_dtype();
    return source_->load(load);
  }

  /// Loads a copy of the teacher, with what is trained in float32.
  DecoderLoadOptions student_options(at::Device device) const {
    DecoderLoadOptions load;
    load.device = device;
    load.copy = true;
    load.dtype =
        config_.train.trained == Trained::kAll ? at::kFloat : held_dtype(source_->weights(), source_->config);
    load.float32_mlps = true;
    return load;
  }

  /// Frees what nothing needs after the training, and lets the model compute in float32, in which it is
  /// compared.
  static void finish(Decoder& model) {
    model.require_gradients(false);
    for (const auto& [name, parameter] : model.parameters())
      at::Tensor(parameter).mutable_grad() = at::Tensor();
    model.compute_in(at::kFloat);
  }

  /// The account is of the model that is written, in the teacher's dtype.
  void round_as_written(Decoder& model) const {
    const at::NoGradGuard no_grad;
    const auto dtype = source_->config.dtype;
    for (const auto& [name, parameter] : model.parameters()) {
      if (parameter.scalar_type() == dtype) continue;
      require_range(parameter, dtype, config_.teacher + ", as it is written in its dtype: " + name);
      at::Tensor(parameter).copy_(parameter.to(dtype));
    }
  }

  int64_t hidden_units() const {
    const auto units = static_cast<double>(source_->config.intermediate_size);
    return std::llround(units * (stages_.widen ? stages_.widen->factor : 1.0));
  }

  DecoderConfig widened_config() const {
    auto config = source_->config;
    config.intermediate_size = hidden_units();
    return config;
  }

  CalibrationCost closed_form() const {
    auto config = *stages_.calibrate;
    config.tokens = std::min(config.tokens, parts_.train.size());
    return calibration_cost(widened_config(), config_.data.context, config);
  }

  /// Bytes of the closed-form stage beside the teacher of the training: its own teacher where that is
  /// another, what becomes of it, and the sums.
  int64_t calibrating() const {
    if (!stages_.calibrate) return 0;
    const bool another = config_.teacher_dtype || stages_.widen;
    const auto width =
        static_cast<int64_t>(c10::elementSize(held_dtype(source_->weights(), source_->config)));
    return widened_config().parameter_count() * ((another ? width : 0) + 4) + closed_form().bytes;
  }

  Decoder widened(const Decoder& model) const {
    if (!stages_.widen) return model;
    return widen(model, hidden_units(),
                 derive_seed(static_cast<uint64_t>(config_.train.seed), "hidden units"));
  }

  /// The teacher, widened, with half the identity in the place of SiLU where nothing anneals it; trained on
  /// as it is, with SiLU.
  Decoder swapped(at::Device device) const {
    auto student = widened(source_->load(student_options(device)));
    return stages_.settle && !stages_.anneal ? fold_half(student) : student;
  }

  /// The model that training begins with. What the closed-form stage gives is kept in OUT/calibrated, so that
  /// a resumed run goes on with the same.
  Decoder begin(Decoder& teacher, at::Device device, const RunPlace& place,
                ConversionAccount& account) const {
    if (!stages_.calibrate) return swapped(device);
    const fs::path kept = place.out / kCalibratedFolder;
    place.ranks.on_first([&] {
      if (fs::exists(kept)) return;
      DecoderLoadOptions exact;  // whatever the teacher beside the training is rounded to
      exact.device = device;
      const auto made =
          calibrate(with_place_for_biases(widened(config_.teacher_dtype ? source_->load(exact) : teacher)),
                    parts_.train, config_.data.context, config_.data.packing, *stages_.calibrate);
      AtomicDirectory directory(kept);
      auto config = made.model.config();
      config.dtype = at::kFloat;
      save_decoder(directory.path(), made.model.parameters(), config);
      write_record_file(directory.path() / CalibrationRecord::kFile,
                        CalibrationRecord{account.teacher_sha256, place.data, made.account});
      directory.commit();
    });
    const fs::path file = kept / CalibrationRecord::kFile;
    const auto record = read_record_file<CalibrationRecord>(file);
    if (record.teacher_sha256 != account.teacher_sha256) {
      throw Error(ExitCode::kBadInput,
                  {kept.string(), "made of the weights of " + config_.teacher,
                   "of others, sha256 \"" + record.teacher_sha256 + "\"", "Start anew with another --out."});
    }
    require_same_data(record.data, file, place.data);
    account.calibration = record.account;
    return load_decoder(kept, student_options(device));
  }

  bool samples() const { return tokenizer_ && !config_.train.sample.prompt.empty(); }

  /// What the model makes of the prompt, where samples().
  std::string sample(Decoder& model) const {
    return sample_text(model, *tokenizer_, config_.train.sample,
                       derive_seed(static_cast<uint64_t>(config_.train.seed), "sample"));
  }

  /// @param file where given, takes the losses of each document
  std::optional<SeenBesideTeacher> seen_on(const TokenStream& part, Decoder& model, Decoder& teacher,
                                           const fs::path& file = {}) const {
    return compare_with_teacher(part, model, teacher, config_.data.context, file);
  }

  std::string where_;
  std::optional<StoredModel> teacher_;
  Stages stages_;
  std::optional<LanguageModel> source_;
  bool becomes_llama_ = false;
  std::optional<Tokenizer> tokenizer_;
  TextParts parts_;
  int64_t sequences_ = 0;
};

}  // namespace

std::unique_ptr<TrainingJob> make_finetune_job(const Json& config, const std::string& where,
                                               const std::optional<StoredModel>& teacher) {
  return std::make_unique<FinetuneJob>(config, where, teacher);
}

Json finetune_job_schema() { return FinetuneRunConfig::fields().schema(); }

}  // namespace bilens
