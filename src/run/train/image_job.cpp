#include <ATen/ATen.h>

#include "bilens/core/files.h"
#include "bilens/core/log.h"
#include "bilens/core/text.h"
#include "bilens/model/model_directory.h"
#include "bilens/records/training_result.h"
#include "bilens/tensor/device.h"
#include "bilens/tensor/product_rate.h"
#include "bilens/tensor/random.h"
#include "bilens/train/image_evaluation.h"
#include "bilens/train/image_task.h"
#include "job_of_config.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

/// The config of an image classifier's run.
struct ImageRunConfig : RunConfig {
  ClassifierConfig model;
  ImageDataConfig data;
  ImageTrainConfig train;

  static const FieldTable<ImageRunConfig>& fields();
};

const FieldTable<ImageRunConfig>& ImageRunConfig::fields() {
  using C = ImageRunConfig;
  static const FieldTable<C> table = [] {
    FieldTable<C> fields("Config of `bilens train`: an image classifier from scratch.");
    fields.integer("format_version", &C::format_version, "Version of this file's format.", between(1, 1))
        .nested("model", &C::model, ClassifierConfig::architecture_fields())
        .nested("data", &C::data, ImageDataConfig::fields())
        .nested("train", &C::train, ImageTrainConfig::fields());
    return add_run_fields(fields);
  }();
  return table;
}

class ImageJob : public JobOfConfig<ImageRunConfig> {
 public:
  ImageJob(const Json& config, const std::string& where) : JobOfConfig(config, where), where_(where) {}

  void prepare() override {
    data_ = load_images(config_.data, static_cast<uint64_t>(config_.train.seed));
    auto& model = config_.model;
    model.d_input = data_.height * data_.width;
    model.d_output = data_.classes;
    model.image_shape = {data_.height, data_.width};
    model.pixel_mean = config_.data.pixel_mean;
    model.pixel_std = config_.data.pixel_std;
    std::vector<Problem> problems;
    model.check(key_path(where_, "model"), problems);
    config_.train.check(key_path(where_, "train"), data_.train.size(), "images", steps(), problems);
    if (!problems.empty()) throw Error(ExitCode::kUsage, problems);
  }

  std::vector<fs::path> data_files() const override { return image_files(config_.data); }

  Estimate estimate(at::Device device) const override {
    const int64_t checkpoints =
        config_.checkpoint.keep_last + 1;      // the new one stands before the oldest goes
    measure_product_rate(device, at::kFloat);  // as the run does, which needs its memory
    auto plan = memory_plan(device, memory());
    plan.disk_bytes = (3 * checkpoints + 1) * config_.model.parameter_count() * 4 + steps() * 500;
    return plan;
  }

  double seconds(at::Device device) const override {
    const double images = static_cast<double>(steps() * config_.train.batch_size);
    return images * training_flops(config_.model) / measure_product_rate(device, at::kFloat);
  }

  TrainingResult train(at::Device device, const RunPlace& place) override {
    const auto& [out, resume, folder, data, ranks] = place;
    auto model = [&] {
      const SeedScope seeded(static_cast<uint64_t>(config_.train.seed));
      return ImageClassifier(config_.model);
    }();
    model->to(device);
    log_info(format_number(static_cast<double>(config_.model.parameter_count())) + " parameters, " +
             format_number(static_cast<double>(data_.train.size())) + " training images, on " +
             describe_device(device));
    ImageTask task(model, data_, config_.train, ranks);
    Trainer trainer(task, config_.train, config_.checkpoint, out, resume, data, ranks);
    const auto summary = trainer.run();
    if (!ranks.first()) return {};
    const auto test = evaluate_classifier(model, data_.test);
    auto metrics = metrics_of(test, EvaluationMetrics::kTest);
    metrics.step = summary.steps;
    metrics.epoch = task.epochs_after(summary.steps);
    trainer.record(metrics);
    AtomicDirectory directory(folder);
    save_classifier(directory.path(), model);
    directory.commit();
    return {outcome_of(test, folder), summary, task.unit()};
  }

  Outcome test(at::Device device, const fs::path& folder) override {
    auto model = load_classifier(folder, device);
    return outcome_of(evaluate_classifier(model, data_.test), folder);
  }

 private:
  int64_t steps() const { return config_.train.total_steps(data_.train.size()); }

  /// Memory of the run: weights, gradients, two moments; the batch as bytes, floats and noise; activations
  /// and their gradients; the test pass.
  int64_t memory() const {
    const auto& m = config_.model;
    const int64_t state = 4 * m.parameter_count() * 4;
    const int64_t batch = config_.train.batch_size;
    const int64_t inputs = batch * m.d_input * (1 + 4 + (config_.train.input_noise.std > 0 ? 4 : 0));
    // Each layer keeps gate, up and their product, its output and the sum with the input.
    const int64_t activations =
        batch * 4 * (m.d_model + m.n_layers * (3 * m.d_hidden + 2 * m.d_model) + 4 * m.d_output);
    return state + inputs + activations;
  }

  static Outcome outcome_of(const ImageEvaluation& test, const fs::path& model) {
    Outcome outcome;
    outcome.results.push_back(
        ImageResult::record().write({model.string(), test.examples, test.loss, test.accuracy}));
    outcome.text = format("test loss %.4f, accuracy %.2f%%", test.loss, 100 * test.accuracy) + "\n" +
                   model.string() + "\n";
    return outcome;
  }

  std::string where_;
  ImageDataset data_;
};

}  // namespace

std::unique_ptr<TrainingJob> make_image_job(const Json& config, const std::string& where) {
  return std::make_unique<ImageJob>(config, where);
}

Json image_job_schema() { return ImageRunConfig::fields().schema(); }

}  // namespace bilens
