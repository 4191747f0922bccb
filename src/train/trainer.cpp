#include "bilens/train/trainer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "bilens/core/files.h"
#include "bilens/core/log.h"
#include "bilens/core/stop.h"
#include "bilens/core/text.h"
#include "bilens/io/weights.h"
#include "bilens/model/model_directory.h"
#include "bilens/tensor/random.h"
#include "bilens/tensor/shape.h"
#include "bilens/train/evaluate.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr int kCheckpointVersion = 1;
constexpr int64_t kDivergedAfter = 10;
constexpr size_t kFlushOnGpu = 25;  // steps between synchronisations

NamedTensors leaves(const ImageClassifier& model) {
  NamedTensors tensors;
  for (const auto& item : model->named_parameters()) tensors.emplace_back(item.key(), item.value());
  return tensors;
}

}  // namespace

const FieldTable<NoiseConfig>& NoiseConfig::fields() {
  using C = NoiseConfig;
  static const FieldTable<C> table =
      FieldTable<C>("Gaussian noise added to every training input.")
          .number("std", &C::std, "Standard deviation for each pixel.", at_least(0.0), "see unit")
          .choice("unit", &C::unit,
                  "\"pixel\": of pixel/255, before normalisation; \"input_std\": of the training inputs' own "
                  "standard deviation.",
                  {{"pixel", NoiseUnit::kPixel}, {"input_std", NoiseUnit::kInputStd}});
  return table;
}

const FieldTable<TrainConfig>& TrainConfig::fields() {
  using C = TrainConfig;
  static const FieldTable<C> table =
      FieldTable<C>("How the model is trained: AdamW on the cross-entropy.")
          .integer("epochs", &C::epochs, "Passes over the training images.", between(1, 1e6), "epochs")
          .integer("steps", &C::steps, "Number of steps; 0: as many as the epochs have.", between(0, 1e9),
                   "steps")
          .integer("batch_size", &C::batch_size, "Images a step; the last batch of an epoch may be smaller.",
                   between(1, 1e7), "images")
          .number("learning_rate", &C::learning_rate, "Peak learning rate.", more_than(0.0))
          .number("weight_decay", &C::weight_decay, "Decoupled weight decay of the matrices.", at_least(0.0))
          .number("beta1", &C::beta1, "Decay of the first moment.", between(0.0, 0.9999999))
          .number("beta2", &C::beta2, "Decay of the second moment.", between(0.0, 0.9999999))
          .choice("schedule", &C::schedule, "Learning rate after the warm-up.",
                  {{"cosine", Schedule::kCosine}, {"constant", Schedule::kConstant}})
          .integer("warmup_steps", &C::warmup_steps, "Steps of linear warm-up.", between(0, 1e9), "steps")
          .number("clip_norm", &C::clip_norm, "Largest joint gradient norm; 0: no clipping.", at_least(0.0))
          .nested("input_noise", &C::input_noise, NoiseConfig::fields())
          .integer("seed", &C::seed, "Seed of initial weights, order and noise.", between(0, 9e15));
  return table;
}

void TrainConfig::check(int64_t images, std::vector<Problem>& problems) const {
  if (batch_size > images) {
    problems.push_back({"train.batch_size",
                        "at most the number of training images (" + std::to_string(images) + ")",
                        std::to_string(batch_size), "Use a smaller batch."});
  } else if (warmup_steps >= total_steps(images)) {
    problems.push_back({"train.warmup_steps",
                        "less than the run's " + std::to_string(total_steps(images)) + " steps",
                        std::to_string(warmup_steps), "Shorten the warm-up or train longer."});
  }
}

ImageTrainer::ImageTrainer(ImageClassifier model, const ImageDataset& data, TrainConfig config,
                           CheckpointConfig checkpoint, fs::path directory, bool resume)
    : model_(std::move(model)),
      data_(data),
      config_(config),
      checkpoint_config_(checkpoint),
      directory_(std::move(directory)),
      checkpoints_(directory_ / "checkpoints", checkpoint.keep_last),
      optimizer_(leaves(model_), {config.beta1, config.beta2, 1e-8, config.weight_decay}),
      device_(model_->embed->weight.device()),
      train_{data.train.images.to(device_), data.train.labels.to(device_)},
      total_(config.total_steps(data.train.size())),
      per_epoch_(config.steps_per_epoch(data.train.size())) {
  noise_ = noise_std();
  if (resume) {
    if (const auto newest = checkpoints_.newest()) load(*newest);
  }
  metrics_ = std::make_unique<MetricsWriter>(directory_ / "metrics.jsonl", step_);
}

double ImageTrainer::noise_std() const {
  if (config_.input_noise.std == 0.0) return 0.0;
  const double pixel = config_.input_noise.std / model_->config.pixel_std;
  if (config_.input_noise.unit == NoiseUnit::kPixel) return pixel;
  // The standard deviation of all pixels together, from their histogram: exact, and no float copy of the
  // images.
  const auto counts = at::bincount(data_.train.images.flatten().to(at::kInt), {}, 256).to(at::kDouble);
  const auto values = at::arange(256, at::kDouble) / 255.0;
  const auto mean = (counts * values).sum() / counts.sum();
  const auto variance = (counts * (values - mean).square()).sum() / counts.sum();
  return pixel * std::sqrt(variance.item<double>());
}

std::pair<at::Tensor, at::Tensor> ImageTrainer::batch() {
  const int64_t epoch = step_ / per_epoch_;
  if (epoch != order_epoch_) {
    const auto seed =
        derive_seed(static_cast<uint64_t>(config_.seed), "shuffle", static_cast<uint64_t>(epoch));
    order_ = at::randperm(train_.size(), make_generator(at::kCPU, seed), at::kLong).to(device_);
    order_epoch_ = epoch;
  }
  const int64_t begin = step_ % per_epoch_ * config_.batch_size;
  const auto index = order_.narrow(0, begin, std::min(config_.batch_size, train_.size() - begin));
  const auto& c = model_->config;
  auto inputs = to_inputs(train_.images.index_select(0, index), c.pixel_mean, c.pixel_std, device_);
  if (noise_ > 0) {
    add_gaussian_noise(
        inputs, noise_,
        derive_seed(static_cast<uint64_t>(config_.seed), "input noise", static_cast<uint64_t>(step_)));
  }
  return {inputs, train_.labels.index_select(0, index)};
}

void ImageTrainer::train_step() {
  const auto [inputs, labels] = batch();
  const auto logits = model_(inputs);
  const auto loss = at::cross_entropy_loss(logits, labels);
  optimizer_.zero_grad();
  loss.backward();
  const auto norm = optimizer_.clip_gradients(config_.clip_norm);
  const auto skip = norm.isfinite().logical_not().to(at::kFloat).view({1});
  optimizer_.step(
      learning_rate_at(config_.schedule, config_.learning_rate, step_, config_.warmup_steps, total_), skip);
  const auto accuracy = logits.detach().argmax(1).eq(labels).to(at::kFloat).mean();
  pending_.push_back(at::stack({loss.detach(), accuracy, norm}));
  ++step_;
}

void ImageTrainer::flush(Progress& progress) {
  if (pending_.empty()) return;
  const auto results = at::stack(pending_).cpu().to(at::kDouble);
  const auto rows = results.accessor<double, 2>();
  const int64_t first = step_ - results.size(0);
  pending_.clear();
  for (int64_t i = 0; i < results.size(0); ++i) {
    const int64_t step = first + i;
    const int64_t images =
        std::min(config_.batch_size, train_.size() - step % per_epoch_ * config_.batch_size);
    last_loss_ = rows[i][0];
    progress.advance(images, format("loss %.4f  accuracy %.4f", rows[i][0], rows[i][1]));
    metrics_->write({{"step", step + 1},
                     {"epoch", static_cast<double>(step + 1) / static_cast<double>(per_epoch_)},
                     {"loss", rows[i][0]},
                     {"accuracy", rows[i][1]},
                     {"grad_norm", rows[i][2]},
                     {"lr", learning_rate_at(config_.schedule, config_.learning_rate, step,
                                             config_.warmup_steps, total_)},
                     {"images_per_second", progress.rate()}});
    skipped_in_a_row_ = std::isfinite(rows[i][2]) ? 0 : skipped_in_a_row_ + 1;
    if (skipped_in_a_row_ > 0) {
      ++skipped_;
      log_warning("step " + std::to_string(step + 1) + ": the gradient is not finite; the step is skipped");
    }
    if (skipped_in_a_row_ >= kDivergedAfter) {
      throw Error(ExitCode::kDiverged, {"step " + std::to_string(step + 1), "a finite gradient",
                                        "none in " + std::to_string(kDivergedAfter) + " steps in a row",
                                        "Lower train.learning_rate, set train.clip_norm, or look at the "
                                        "data; the last checkpoint is intact."});
    }
  }
}

void ImageTrainer::end_epoch() {
  const int64_t epoch = step_ / per_epoch_;
  if (data_.validation.size() > 0) {
    model_->eval();
    const auto result = evaluate_classifier(model_, data_.validation);
    model_->train();
    metrics_->write({{"step", step_},
                     {"epoch", epoch},
                     {"split", "validation"},
                     {"examples", result.examples},
                     {"loss", result.loss},
                     {"accuracy", result.accuracy}});
    log_info("epoch " + std::to_string(epoch) +
             format(": validation loss %.4f, accuracy %.4f", result.loss, result.accuracy));
  }
  if (epoch % checkpoint_config_.every_epochs == 0 && step_ < total_) save();
}

TrainSummary ImageTrainer::run() {
  model_->train();
  const auto images_at = [&](int64_t step) {
    return step / per_epoch_ * train_.size() + step % per_epoch_ * config_.batch_size;
  };
  Progress progress("train", images_at(total_), "images", images_at(step_));
  const bool was_finished = finished();
  while (!finished()) {
    if (stop_requested()) {
      flush(progress);
      save();
      throw Stopped{};
    }
    train_step();
    const bool epoch_ends = step_ % per_epoch_ == 0;
    if (device_.is_cpu() || epoch_ends || pending_.size() >= kFlushOnGpu || finished()) flush(progress);
    if (epoch_ends) end_epoch();
  }
  const double rate = progress.rate();
  if (!was_finished) save();
  model_->eval();
  return {step_, skipped_, rate, last_loss_};
}

void ImageTrainer::save() {
  checkpoints_.save(step_, [&](const fs::path& folder) {
    save_classifier(folder, model_);
    write_safetensors(folder / "optimizer.safetensors", optimizer_.state(), {{"format", "pt"}});
    write_text(folder / "trainer.json", format_json({{"format", "bilens-checkpoint"},
                                                     {"format_version", kCheckpointVersion},
                                                     {"step", step_},
                                                     {"total_steps", total_},
                                                     {"skipped_steps", skipped_},
                                                     {"skipped_in_a_row", skipped_in_a_row_},
                                                     {"last_loss", last_loss_}}));
  });
}

void ImageTrainer::load(const Checkpoint& checkpoint) {
  const fs::path file = checkpoint.directory / "trainer.json";
  const Json state = read_json(file, ExitCode::kBadInput);
  if (!state.is_object() || state.value("format", Json()) != "bilens-checkpoint" ||
      state.value("format_version", Json()) != kCheckpointVersion) {
    throw Error(ExitCode::kBadInput,
                {file.string(), "format bilens-checkpoint, version " + std::to_string(kCheckpointVersion),
                 describe(state.is_object() ? state.value("format_version", Json()) : state),
                 "It was written by another bilens: continue with that version, or start anew."});
  }
  if (state.value("step", Json()) != checkpoint.step || state.value("total_steps", Json()) != total_) {
    throw Error(
        ExitCode::kBadInput,
        {file.string(), "step " + std::to_string(checkpoint.step) + " of " + std::to_string(total_),
         "step " + state.value("step", Json()).dump() + " of " + state.value("total_steps", Json()).dump(),
         "The checkpoint belongs to another run or other data."});
  }
  const at::NoGradGuard no_grad;
  const Weights weights(checkpoint.directory);
  for (auto& item : model_->named_parameters()) {
    const auto stored = weights.tensor(item.key());
    require_shape(stored, item.value().sizes(), weights.path().string() + ": " + item.key());
    item.value().copy_(stored);
  }
  optimizer_.load_state(SafetensorsFile(checkpoint.directory / "optimizer.safetensors"));
  step_ = checkpoint.step;
  const auto number = [&](const char* key) {
    const Json value = state.value(key, Json());
    return value.is_number() ? value.get<double>() : 0.0;
  };
  skipped_ = static_cast<int64_t>(number("skipped_steps"));
  skipped_in_a_row_ = static_cast<int64_t>(number("skipped_in_a_row"));
  last_loss_ = number("last_loss");
  log_info("continuing at step " + std::to_string(step_) + " of " + std::to_string(total_) + " from " +
           checkpoint.directory.string());
}

}  // namespace bilens
