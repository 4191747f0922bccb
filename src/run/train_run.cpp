#include "bilens/run/train_run.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <chrono>

#include "bilens/core/files.h"
#include "bilens/core/log.h"
#include "bilens/core/memory.h"
#include "bilens/core/progress.h"
#include "bilens/core/text.h"
#include "bilens/model/model_directory.h"
#include "bilens/run/config_file.h"
#include "bilens/tensor/device.h"
#include "bilens/train/evaluate.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

TrainRunConfig parse(const TrainRunOptions& options) {
  std::vector<Problem> problems;
  auto config = TrainRunConfig::fields().parse(options.config, options.where, problems);
  if (!problems.empty()) throw Error(ExitCode::kUsage, problems);
  return config;
}

/// What the data decides about the model. @throws Error with all contradictions.
void complete_model(TrainRunConfig& config, const ImageDataset& data, const std::string& where) {
  config.model.d_input = data.height * data.width;
  config.model.d_output = data.classes;
  config.model.image_shape = {data.height, data.width};
  config.model.pixel_mean = config.data.pixel_mean;
  config.model.pixel_std = config.data.pixel_std;
  std::vector<Problem> problems;
  config.model.check(key_path(where, "model"), problems);
  config.train.check(data.train.size(), problems);
  if (!problems.empty()) throw Error(ExitCode::kUsage, problems);
}

/// A resumed run must be the same run: only where it computes and how often it saves may differ.
void check_same_run(const fs::path& out, const TrainRunConfig& config) {
  const fs::path file = out / "config.json";
  if (!fs::exists(file)) return;
  Json before = read_json(file, ExitCode::kBadInput);
  const Json now = TrainRunConfig::fields().dump(config);
  std::vector<Problem> problems;
  for (const char* section : {"model", "data", "train"}) {
    const Json old = before.value(section, Json::object());
    for (const auto& [key, value] : now.at(section).items()) {
      const Json was = old.is_object() ? old.value(key, Json()) : Json();
      if (was != value) {
        problems.push_back({key_path(section, key), was.dump() + ", as in " + file.string(), value.dump(),
                            "Resume with the same settings, or start anew with another --out."});
      }
    }
  }
  if (!problems.empty()) throw Error(ExitCode::kUsage, problems);
}

void check_out(const fs::path& out, bool resume) {
  if (resume || is_empty_directory(out)) return;
  throw Error(ExitCode::kUsage, {out.string(), "an empty or new folder", "files in it",
                                 "Continue that run with --resume, or name another folder with --out."});
}

/// Multiply-adds of one training image: forward, and twice that backward, without the gradient of the input.
double flops_per_image(const ClassifierConfig& m) {
  const double embed = static_cast<double>(m.d_input) * m.d_model;
  const double rest = static_cast<double>(m.parameter_count()) - embed;
  return 2 * (2 * embed + 3 * rest);
}

/// Floating-point operations a second of float32 matrix products, from a tenth of a second of them.
double measure_gemm_rate(at::Device device) {
  const int64_t n = 768;
  const auto a = at::ones({n, n}, at::device(device).dtype(at::kFloat));
  a.mm(a).sum().item<float>();
  const auto begin = std::chrono::steady_clock::now();
  double elapsed = 0;
  int64_t products = 0;
  while (elapsed < 0.1) {
    a.mm(a).sum().item<float>();
    ++products;
    elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  return 2.0 * n * n * n * static_cast<double>(products) / elapsed;
}

/// Memory of a run beyond what the process holds once the data is loaded: weights, gradients, two moments;
/// the batch as bytes, floats and noise; activations and their gradients; the test pass.
int64_t run_memory(const TrainRunConfig& config) {
  const auto& m = config.model;
  const int64_t state = 4 * m.parameter_count() * 4;
  const int64_t batch = config.train.batch_size;
  const int64_t inputs = batch * m.d_input * (1 + 4 + (config.train.input_noise.std > 0 ? 4 : 0));
  const int64_t activations =
      batch * 4 * (m.d_model + m.n_layers * (4 * m.d_hidden + 2 * m.d_model) + 4 * m.d_output);
  return state + inputs + activations;
}

Json estimate(const TrainRunConfig& config, const ImageDataset& data, at::Device device) {
  const double images =
      static_cast<double>(config.train.total_steps(data.train.size())) * config.train.batch_size;
  const double rate = measure_gemm_rate(device);
  const int64_t checkpoints = config.checkpoint.keep_last + 1;  // the new one stands before the oldest goes
  const int64_t steps = config.train.total_steps(data.train.size());
  return {{"memory_bytes", peak_memory() + run_memory(config)},
          {"disk_bytes", (3 * checkpoints + 1) * config.model.parameter_count() * 4 + steps * 220},
          {"seconds", images * flops_per_image(config.model) / rate}};
}

void check_resources(const Json& estimate, const fs::path& out) {
  std::vector<Problem> problems;
  const auto need = [&](const char* what, int64_t needed, int64_t free, const char* fix) {
    if (needed > free) {
      problems.push_back({what, format_bytes(static_cast<double>(needed)),
                          format_bytes(static_cast<double>(free)) + " free", fix});
    }
  };
  need("memory", estimate.at("memory_bytes").get<int64_t>() - peak_memory(), available_memory(),
       "Use a smaller batch_size or model.");
  need("disk", estimate.at("disk_bytes").get<int64_t>(), free_disk(out),
       "Free some space, or name another --out.");
  if (!problems.empty()) throw Error(ExitCode::kExhausted, problems);
}

Outcome dry_run(const TrainRunOptions& options) {
  Outcome outcome;
  TrainRunConfig config;
  collect_problems(outcome, [&] { check_out(options.out, options.resume); });
  const size_t before = outcome.problems.size();
  collect_problems(outcome, [&] { config = parse(options); });
  if (outcome.problems.size() > before) return outcome;  // the rest would be checked against defaults
  ImageDataset data;
  collect_problems(outcome, [&] { choose_device(config.device); });
  collect_problems(outcome,
                   [&] { data = load_images(config.data, static_cast<uint64_t>(config.train.seed)); });
  if (data.train.size() == 0) return outcome;
  collect_problems(outcome, [&] { complete_model(config, data, options.where); });
  if (options.resume) collect_problems(outcome, [&] { check_same_run(options.out, config); });
  if (!outcome.problems.empty()) return outcome;
  outcome.estimate = estimate(config, data, choose_device(config.device));
  collect_problems(outcome, [&] { check_resources(outcome.estimate, options.out); });
  return outcome;
}

Outcome test_outcome(const fs::path& model, const Evaluation& test) {
  Outcome outcome;
  outcome.results.push_back({{"model", model.string()},
                             {"examples", test.examples},
                             {"loss", test.loss},
                             {"accuracy", test.accuracy}});
  outcome.text = format("test loss %.4f, accuracy %.2f%%", test.loss, 100 * test.accuracy) + "\n" +
                 model.string() + "\n";
  return outcome;
}

Outcome finished_before(const fs::path& model_folder, const ImageDataset& data, at::Device device) {
  log_info("this run is finished");
  auto model = load_classifier(model_folder, device);
  return test_outcome(model_folder, evaluate_classifier(model, data.test));
}

}  // namespace

const FieldTable<TrainRunConfig>& TrainRunConfig::fields() {
  using C = TrainRunConfig;
  static const FieldTable<C> table =
      FieldTable<C>("Config of `bilens train`: an image classifier from scratch.")
          .integer("format_version", &C::format_version, "Of this file's format.", between(1, 1))
          .nested("model", &C::model, ClassifierConfig::architecture_fields())
          .nested("data", &C::data, ImageDataConfig::fields())
          .nested("train", &C::train, TrainConfig::fields())
          .nested("checkpoint", &C::checkpoint, CheckpointConfig::fields())
          .text("device", &C::device, "auto, cpu, cuda or cuda:N.")
          .integer("threads", &C::threads, "CPU threads; 0: one a core.", between(0, 4096), "threads");
  return table;
}

Outcome run_training(const TrainRunOptions& options) {
  if (options.dry_run) return dry_run(options);
  auto config = parse(options);
  const at::Device device = choose_device(config.device);
  set_threads(config.threads);
  const ImageDataset data = load_images(config.data, static_cast<uint64_t>(config.train.seed));
  complete_model(config, data, options.where);

  const DirectoryLock lock(options.out);
  check_out(options.out, options.resume);
  if (options.resume) check_same_run(options.out, config);
  remove_leftovers(options.out);
  remove_leftovers(options.out / "checkpoints");
  // The model is written last: where it is, the run is finished.
  const fs::path model_folder = options.out / "model";
  if (fs::exists(model_folder)) return finished_before(model_folder, data, device);
  write_text(options.out / "config.json", format_json(TrainRunConfig::fields().dump(config)));
  write_text(options.out / "env.json", format_json(describe_environment(describe_device(device))));

  at::manual_seed(static_cast<uint64_t>(config.train.seed));
  ImageClassifier model(config.model);
  model->to(device);
  log_info(format_number(static_cast<double>(config.model.parameter_count())) + " parameters, " +
           format_number(static_cast<double>(data.train.size())) + " training images, on " +
           describe_device(device));
  ImageTrainer trainer(model, data, config.train, config.checkpoint, options.out, options.resume);
  const auto summary = trainer.run();

  const auto test = evaluate_classifier(model, data.test);
  trainer.metrics().write(
      {{"step", summary.steps},
       {"epoch", static_cast<double>(summary.steps) / config.train.steps_per_epoch(data.train.size())},
       {"split", "test"},
       {"examples", test.examples},
       {"loss", test.loss},
       {"accuracy", test.accuracy}});
  AtomicDirectory folder(model_folder);
  save_classifier(folder.path(), model);
  folder.commit();

  if (summary.skipped_steps > 0) {
    log_warning(std::to_string(summary.skipped_steps) +
                " steps were skipped, their gradients were not finite");
  }
  Outcome outcome = test_outcome(model_folder, test);
  outcome.results[0]["steps"] = summary.steps;
  outcome.results[0]["skipped_steps"] = summary.skipped_steps;
  outcome.results[0]["images_per_second"] = summary.images_per_second;
  log_info(format_number(summary.images_per_second) + " images/s");
  return outcome;
}

}  // namespace bilens
