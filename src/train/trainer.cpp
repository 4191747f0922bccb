#include "bilens/train/trainer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "bilens/core/log.h"
#include "bilens/core/stop.h"
#include "bilens/core/text.h"
#include "bilens/io/weights.h"
#include "bilens/records/optimizer_state.h"
#include "bilens/tensor/product_rate.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kDivergedAfter = 10;
constexpr size_t kFlushOnGpu = 25;  // steps between synchronisations

/// What is wrong with a checkpoint that an older one can stand in for.
struct Damaged {
  Error error;
};

/// The result of `read`; that its input is bad is a damage.
template <class Read>
auto if_whole(const Read& read) {
  try {
    return read();
  } catch (const Error& error) {
    if (error.code() != ExitCode::kBadInput) throw;
    throw Damaged{error};
  }
}

}  // namespace

Trainer::Trainer(TrainingTask& task, const StepConfig& config, const CheckpointConfig& checkpoint,
                 fs::path directory, bool resume, KnownDataFiles data, const Ranks& ranks)
    : task_(task),
      schedule_(config.schedule_over(task.total_steps())),
      config_(config),
      checkpoint_config_(checkpoint),
      directory_(std::move(directory)),
      ranks_(ranks),
      data_(std::move(data)),
      checkpoints_(directory_ / "checkpoints", checkpoint.keep_last),
      parameters_(task.parameters()),
      optimizer_(parameters_, config.optimizer(), ranks),
      device_(parameters_.front().second.device()),
      total_(task.total_steps()) {
  ranks_.on_first([&] {
    if (resume) continue_from_newest();
  });
  take_from_first();
  if (!ranks_.first()) return;
  metrics_ = std::make_unique<MetricsWriter>(directory_ / "metrics.jsonl", step_);
  tensorboard_ = std::make_unique<TensorBoardWriter>(directory_, step_);
}

/// The place where the first process stands, and its weights and moments.
void Trainer::take_from_first() {
  if (ranks_.alone()) return;
  auto place = at::tensor({step_, skipped_, skipped_in_a_row_}, at::kLong);
  std::vector<at::Tensor> tensors{place};
  for (const auto& [name, tensor] : parameters_) tensors.push_back(tensor);
  ranks_.copy_from(0, tensors);
  const auto* numbers = place.const_data_ptr<int64_t>();
  step_ = numbers[0];
  skipped_ = numbers[1];
  skipped_in_a_row_ = numbers[2];
  if (step_ > 0) optimizer_.share_state();
}

void Trainer::record(const MetricsLine& line) {
  if (!ranks_.first()) return;
  metrics_->write(line);
  auto scalars = numbers_of(line);
  for (auto& scalar : scalars) scalar.first.insert(0, split_of(line) + "/");
  tensorboard_->write(step_of(line), scalars);
}

bool Trainer::epoch_ends() const {
  return std::floor(task_.epochs_after(step_)) > std::floor(task_.epochs_after(step_ - 1));
}

bool Trainer::validation_is_due() const {
  if (finished()) return true;
  return config_.validate_every > 0 ? step_ % config_.validate_every == 0 : epoch_ends();
}

bool Trainer::checkpoint_is_due() const {
  if (finished()) return false;  // the end of the run is always saved
  const auto& [every_epochs, every_steps, keep_last] = checkpoint_config_;
  if (every_steps > 0) return step_ % every_steps == 0;
  return epoch_ends() && static_cast<int64_t>(task_.epochs_after(step_)) % every_epochs == 0;
}

double Trainer::units_per_second(int64_t step) const {
  const double elapsed = watch_.seconds() - aside_;
  const auto units = static_cast<double>(task_.units_after(step) - task_.units_after(first_step_));
  return elapsed > 0 ? units / elapsed : 0.0;
}

void Trainer::train_step() {
  optimizer_.zero_grad();
  auto measured = task_.compute_gradients(step_);
  if (!ranks_.alone()) measured = at::cat({measured, at::full({1}, stop_requested() ? 1.0 : 0.0)});
  const auto norm = optimizer_.clip_gradients(config_.clip_norm, measured);
  if (!ranks_.alone()) {
    one_stops_ = measured[-1].item<float>() > 0;
    measured = measured.slice(0, 0, -1);
  }
  const auto skip = norm.isfinite().logical_not().to(at::kFloat).view({1});
  optimizer_.step(learning_rate_at(schedule_, step_), skip, step_);
  pending_.push_back(at::cat({measured, norm.view({1})}));
  ++step_;
}

void Trainer::write_step(StepMetrics metrics, Progress& progress) {
  const int64_t step = metrics.step;
  metrics.epoch = task_.epochs_after(step);
  metrics.learning_rate = learning_rate_at(schedule_, step - 1);
  const auto accuracy = metrics.accuracy ? format("  accuracy %.4f", *metrics.accuracy) : "";
  progress.advance(task_.units_after(step) - task_.units_after(step - 1),
                   format("loss %.4f", metrics.loss) + accuracy);
  const double rate = units_per_second(step_);  // of all steps that were waited for, on a GPU more than this
  rate_in(metrics, task_.unit()) = rate;
  metrics.mfu = rate * task_.flops_per_unit() / product_rate_;
  record(metrics);
  last_loss_ = metrics.loss;
  if (spikes_.add(last_loss_))
    log_warning("step " + std::to_string(step) + format(": the loss jumped to %.4f", last_loss_));
}

void Trainer::count_skipped(int64_t step, bool finite) {
  skipped_in_a_row_ = finite ? 0 : skipped_in_a_row_ + 1;
  if (finite) return;
  ++skipped_;
  log_warning("step " + std::to_string(step) + ": the gradient is not finite; the step is skipped");
  if (skipped_in_a_row_ >= kDivergedAfter) {
    throw Error(ExitCode::kDiverged, {"step " + std::to_string(step), "a finite gradient",
                                      "none in " + std::to_string(kDivergedAfter) + " steps in a row",
                                      "Lower train.learning_rate, set train.clip_norm, or look at the "
                                      "data; the last checkpoint is intact."});
  }
}

void Trainer::flush(Progress& progress) {
  if (pending_.empty()) return;
  const auto results = at::stack(pending_).cpu().to(at::kDouble);
  const int64_t first = step_ - results.size(0), norm = results.size(1) - 1;  // behind loss [, accuracy]
  pending_.clear();
  for (int64_t i = 0; i < results.size(0); ++i) {
    const double* row = results.const_data_ptr<double>() + i * results.size(1);
    StepMetrics metrics;
    metrics.step = first + i + 1;
    metrics.loss = row[0];
    if (norm > 1) metrics.accuracy = row[1];
    metrics.grad_norm = row[norm];
    write_step(metrics, progress);
    count_skipped(first + i + 1, std::isfinite(row[norm]));
  }
}

/// Whether the step that a run goes on from is to be validated, and was not: the run was stopped before.
bool Trainer::validation_is_missing() const {
  if (step_ == 0 || !validation_is_due()) return false;
  const bool there = ranks_.first() && metrics_->kept_validation();
  return ranks_.text_from_first(there ? "there" : "missing") == "missing";
}

void Trainer::validate() {
  for (auto& seen : task_.validate(step_)) {
    std::visit(
        [&](auto& metrics) {
          metrics.step = step_;
          metrics.epoch = task_.epochs_after(step_);
          record(metrics);
        },
        seen.line);
    log_info("step " + std::to_string(step_) + ": " + seen.words);
  }
}

/// Whether to end here: of several processes all do as soon as one is asked to.
bool Trainer::stops() { return ranks_.alone() ? stop_requested() : one_stops_; }

/// Work between steps, whose time is not theirs.
void Trainer::aside(void (Trainer::*work)()) {
  Stopwatch watch;
  (this->*work)();
  watch.lap(aside_);
}

TrainSummary Trainer::run() {
  product_rate_ =
      measure_product_rate(device_, task_.compute_dtype()) * static_cast<double>(ranks_.count());  // of all
  Progress progress("train", task_.units_after(total_), unit_name(task_.unit()), task_.units_after(step_));
  watch_ = Stopwatch();
  first_step_ = step_;
  const bool was_finished = finished();
  if (validation_is_missing()) aside(&Trainer::validate);
  while (!finished()) {
    if (stops()) {
      flush(progress);
      save();
      throw Stopped{};
    }
    train_step();
    const bool validates = validation_is_due(), saves = checkpoint_is_due();
    if (device_.is_cpu() || validates || saves || pending_.size() >= kFlushOnGpu) flush(progress);
    try {
      if (validates) aside(&Trainer::validate);
    } catch (const Stopped&) {  // of several processes all are here
      save();
      throw;
    }
    if (saves) aside(&Trainer::save);
  }
  const double rate = units_per_second(step_);
  if (!was_finished) save();
  return {step_, skipped_, spikes_.count(), rate, last_loss_};
}

void Trainer::save() {
  const auto state = optimizer_.state();
  const auto write = [&](const fs::path& folder) {
    task_.save_model(folder);
    write_safetensors(folder / kOptimizerFile, state, {{"format", "pt"}});
    write_record_file(
        folder / TrainingState::kFile,
        TrainingState{step_, total_, data_, skipped_, skipped_in_a_row_, last_loss_, spikes_.state()});
  };
  ranks_.on_first([&] { checkpoints_.save(step_, write); });
}

void Trainer::continue_from_newest() {
  checkpoints_.name_incomplete();
  std::vector<Problem> damages;
  for (const auto& checkpoint : checkpoints_.newest_first()) {
    try {
      load(checkpoint);
      return;
    } catch (const Damaged& damage) {
      log_warning(checkpoint.directory.string() + " is damaged and passed over: " + damage.error.what());
      damages.insert(damages.end(), damage.error.problems().begin(), damage.error.problems().end());
    }
  }
  if (damages.empty()) return;
  damages.back().fix = "No checkpoint is whole: start anew with another --out.";
  throw Error(ExitCode::kBadInput, damages);
}

/// @throws Damaged; Error(kBadInput) for a state of another format or run
TrainingState Trainer::read_state(const Checkpoint& checkpoint) const {
  const fs::path file = checkpoint.directory / TrainingState::kFile;
  const Json json = if_whole([&] { return read_json(file, ExitCode::kBadInput); });
  require_format(json, TrainingState::kFormat, file.string());
  auto state = if_whole([&] { return read_record<TrainingState>(json, file.string()); });
  if (state.step != checkpoint.step || state.total_steps != total_) {
    const auto place = [](int64_t step, int64_t total) {
      return "step " + std::to_string(step) + " of " + std::to_string(total);
    };
    throw Error(ExitCode::kBadInput,
                {file.string(), place(checkpoint.step, total_), place(state.step, state.total_steps),
                 "The checkpoint belongs to another run or other data."});
  }
  return state;
}

void Trainer::load_tensors(const Checkpoint& checkpoint) {
  const at::NoGradGuard no_grad;
  const Weights weights(checkpoint.directory);
  for (auto& [name, parameter] : parameters_) {
    const auto stored = task_.saved_parameter(weights, name);
    require_shape(stored, parameter.sizes(), weights.path().string() + ": " + name);
    parameter.copy_(stored);
  }
  optimizer_.load_state(SafetensorsFile(checkpoint.directory / kOptimizerFile));
}

/// @throws as read_state, and Damaged where tensors are
void Trainer::load(const Checkpoint& checkpoint) {
  if_whole([&] { require_unchanged(checkpoint); });
  const auto state = read_state(checkpoint);
  if_whole([&] { load_tensors(checkpoint); });
  step_ = checkpoint.step;
  skipped_ = state.skipped_steps;
  skipped_in_a_row_ = state.skipped_in_a_row;
  last_loss_ = state.last_loss;
  spikes_.load(state.loss_spikes);
  log_info("continuing at step " + std::to_string(step_) + " of " + std::to_string(total_) + " from " +
           checkpoint.directory.string());
}

}  // namespace bilens
