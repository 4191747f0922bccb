#include "bilens/train/trainer.h"

#include <ATen/ATen.h>

#include "bilens/train/image_evaluation.h"
#include "bilens/train/image_task.h"
#include "caught.h"
#include "gpu.h"
#include "temporary_folder.h"
#include "training_runs.h"

namespace bilens::trainer_test {
namespace {

using test::caught;
using test::contains;
using test::equal;
using test::Quiet;
using test::read_metrics;

/// Images of 4x4 pixels whose bright quarter is their class, under noise: separable.
ImageSplit quarters(int64_t count, uint64_t seed) {
  at::manual_seed(seed);
  const auto labels = at::randint(4, {count}, at::kLong);
  auto images = at::randint(60, {count, 4, 4}, at::kLong);
  for (int64_t i = 0; i < count; ++i) {
    const auto label = labels[i].item<int64_t>();
    images[i].narrow(0, label / 2 * 2, 2).narrow(1, label % 2 * 2, 2).add_(150);
  }
  return {images.to(at::kByte), labels};
}

ImageDataset dataset(int64_t count = 200, int64_t validation = 0) {
  ImageDataset data;
  data.train = quarters(count, 1);
  data.test = quarters(100, 2);
  if (validation > 0) data.validation = quarters(validation, 3);
  data.height = data.width = 4;
  data.classes = 4;
  return data;
}

ImageTrainConfig quick() {
  ImageTrainConfig config;
  config.epochs = 10;
  config.batch_size = 32;  // 200 images: six batches and one of eight
  config.learning_rate = 1e-2;
  config.weight_decay = 0.1;
  return config;
}

ImageClassifier new_model(uint64_t seed = 5, at::Device device = at::kCPU) {
  ClassifierConfig config;
  config.d_input = 16, config.d_model = config.d_hidden = 8, config.d_output = 4;
  config.image_shape = {4, 4};
  at::manual_seed(seed);
  ImageClassifier model(config);
  model->to(device);
  return model;
}

/// A trainer of an image classifier.
struct ImageTrainer {
  ImageTrainer(const ImageClassifier& model, const ImageDataset& data, const ImageTrainConfig& config,
               const CheckpointConfig& checkpoint, const std::filesystem::path& folder, bool resume)
      : task(model, data, config), trainer(task, config, checkpoint, folder, resume) {}
  TrainSummary run() { return trainer.run(); }

  ImageTask task;
  Trainer trainer;
};

std::vector<at::Tensor> weights(const ImageClassifier& model) {
  std::vector<at::Tensor> list;
  for (const auto& p : model->parameters()) list.push_back(p.detach().cpu().clone());
  return list;
}

TEST_CASE("a separable problem is learnt, and every step is on record") {
  const Quiet quiet;
  const test::TemporaryFolder folder;
  const auto data = dataset(200, 50);
  auto model = new_model();
  const auto before = evaluate_classifier(model, data.test);
  ImageTrainer trainer(model, data, quick(), {}, folder.path(), false);
  const auto summary = trainer.run();
  const auto after = evaluate_classifier(model, data.test);
  CHECK(before.accuracy < 0.6);
  CHECK(after.accuracy > 0.95);
  CHECK(after.loss < before.loss);
  CHECK(summary.steps == 70);
  CHECK(summary.skipped_steps == 0);

  int64_t steps = 0, validations = 0;
  for (const auto& record : read_metrics(folder.path())) {
    if (record.contains("split")) {
      ++validations;
      CHECK(record.at("examples") == 50);
      CHECK(record.at("step") == 7 * validations);
    } else {
      CHECK(record.at("step") == ++steps);
      for (const char* key : {"epoch", "loss", "accuracy", "grad_norm", "lr", "images_per_second", "mfu"})
        CHECK(record.at(key).is_number());
    }
  }
  CHECK(steps == 70);
  CHECK(validations == 10);
  CHECK(summary.last_loss ==
        read_metrics(folder.path()).at(read_metrics(folder.path()).size() - 2).at("loss").get<double>());
}

TEST_CASE("the same seed gives the same weights, another seed others") {
  const Quiet quiet;
  const auto data = dataset();
  const auto train = [&](int64_t seed, double noise) {
    const test::TemporaryFolder folder;
    auto config = quick();
    config.seed = seed;
    config.input_noise.std = noise;
    auto model = new_model();
    ImageTrainer(model, data, config, {}, folder.path(), false).run();
    return weights(model);
  };
  const auto first = train(1, 0.2);
  CHECK(equal(first, train(1, 0.2)));
  CHECK_FALSE(equal(first, train(2, 0.2)));  // another order and noise
  CHECK_FALSE(equal(first, train(1, 0.0)));
}

TEST_CASE("noise in units of the inputs' standard deviation is that many times it in pixels") {
  const Quiet quiet;
  const auto data = dataset();
  const double deviation = data.train.images.to(at::kDouble).div(255).std(/*unbiased=*/false).item<double>();
  REQUIRE(deviation < 0.5);
  const auto train = [&](const NoiseConfig& noise) {
    const test::TemporaryFolder folder;
    auto config = quick();
    config.epochs = 1;
    config.input_noise = noise;
    auto model = new_model();
    ImageTrainer(model, data, config, {}, folder.path(), false).run();
    std::vector<at::Tensor> flat;
    for (const auto& weight : weights(model)) flat.push_back(weight.flatten());
    return at::cat(flat);
  };
  const auto own = train({0.3, NoiseUnit::kInputStd});
  const auto distance = [&](const NoiseConfig& noise) {
    return (own - train(noise)).abs().max().item<double>();
  };
  // The deviation may be rounded in another order, which seven steps of 1e-2 amplify little.
  CHECK(distance({0.3 * deviation, NoiseUnit::kPixel}) < 1e-5);
  CHECK(distance({0.3, NoiseUnit::kPixel}) > 1e-3);
}

TEST_CASE("a run that continues from a checkpoint ends in the same weights") {
  const Quiet quiet;
  const auto data = dataset(200, 50);
  auto config = quick();
  config.input_noise = {0.5, NoiseUnit::kInputStd};
  config.warmup_steps = 3;
  config.clip_norm = 0.5;
  const test::TemporaryFolder whole, parts;
  auto model = new_model();
  ImageTrainer(model, data, config, {1, 0, 100}, whole.path(), false).run();

  // The checkpoint of epoch 4 and what the metrics said by then and later, as a killed run leaves them.
  std::filesystem::create_directories(parts / "checkpoints");
  std::filesystem::copy(whole / "checkpoints/step-28", parts / "checkpoints/step-28");
  std::filesystem::copy(whole / "metrics.jsonl", parts / "metrics.jsonl");
  auto resumed = new_model(99);
  ImageTrainer trainer(resumed, data, config, {1, 0, 100}, parts.path(), true);
  CHECK(read_metrics(parts.path()).size() == 28 + 4);
  trainer.run();
  CHECK(equal(weights(model), weights(resumed)));
  const auto expected = read_metrics(whole.path()), found = read_metrics(parts.path());
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    CHECK(found[i].at("step") == expected[i].at("step"));
    CHECK(found[i].at("loss") == expected[i].at("loss"));
  }
}

TEST_CASE("a checkpoint of another version, step or length is refused") {
  const Quiet quiet;
  const auto data = dataset();
  const test::TemporaryFolder folder;
  auto model = new_model();
  auto config = quick();
  config.epochs = 1;
  ImageTrainer(model, data, config, {}, folder.path(), false).run();
  const auto file = folder / "checkpoints/step-7/trainer.json";
  const Json good = read_json(file, ExitCode::kBadInput);
  test::write_file(folder / "checkpoints/step-7/DONE", "");  // which lists no hashes
  const auto refusal = [&](const char* key, const Json& value) {
    Json state = good;
    state[key] = value;
    test::write_file(file, format_json(state));
    const auto error = caught([&] { ImageTrainer(new_model(), data, config, {}, folder.path(), true); });
    CHECK(error.code() == ExitCode::kBadInput);
    return std::string(error.what());
  };
  CHECK(contains(refusal("format_version", 2), "version 1, found format \"bilens-checkpoint\", version 2"));
  CHECK(contains(refusal("format_version", "1"), "version 1"));
  CHECK(contains(refusal("format", 3), "bilens-checkpoint"));
  CHECK(contains(refusal("step", 6), "step 7"));
  CHECK(contains(refusal("total_steps", 8), "of 7"));
  CHECK(contains(refusal("total_steps", "7"), "trainer.json: total_steps: expected an integer"));
}

TEST_CASE("steps whose gradient is not finite are skipped, and ten in a row end the run") {
  const Quiet quiet;
  const auto data = dataset();
  const test::TemporaryFolder folder;
  auto config = quick();
  config.learning_rate = 1e30;
  auto model = new_model();
  const auto error = caught([&] { ImageTrainer(model, data, config, {}, folder.path(), false).run(); });
  CHECK(error.code() == ExitCode::kDiverged);
  CHECK(contains(error.what(), "10 steps in a row"));
  const auto all = read_metrics(folder.path());
  REQUIRE(all.size() >= 10);
  for (size_t i = all.size() - 10; i < all.size(); ++i) CHECK(all[i].at("grad_norm").is_null());
  for (const auto& w : weights(model)) CHECK_FALSE(at::isnan(w).any().item<bool>());
}

TEST_CASE("a few non-finite steps are counted and passed over") {
  const Quiet quiet;
  auto data = dataset(40);
  const test::TemporaryFolder folder;
  auto config = quick();
  config.batch_size = 4;
  config.epochs = 2;
  // One pixel of one image, scaled beyond float32 by the model's own normalisation, makes one step in ten
  // infinite.
  data.train.images.zero_();
  data.train.images[17][2][2] = 255;
  ClassifierConfig model_config = new_model()->config;
  model_config.pixel_std = 1e-30;
  at::manual_seed(5);
  ImageClassifier model(model_config);
  const auto summary = ImageTrainer(model, data, config, {}, folder.path(), false).run();
  CHECK(summary.steps == 20);
  CHECK(summary.skipped_steps == 2);
  for (const auto& w : weights(model)) CHECK(at::isfinite(w).all().item<bool>());
}

TEST_CASE("contradictions with the data are named") {
  const auto problems_of = [](const ImageTrainConfig& config) {
    std::vector<Problem> problems;
    config.check("train", 200, "images", config.total_steps(200), problems);
    return problems.empty() ? std::string() : problems.front().message();
  };
  auto config = quick();
  CHECK(config.steps_per_epoch(200) == 7);
  CHECK(config.total_steps(200) == 70);
  CHECK(problems_of(config).empty());
  config.batch_size = 200;
  CHECK(problems_of(config).empty());
  config.batch_size = 201;
  CHECK(contains(problems_of(config),
                 "train.batch_size: expected at most the number of training images (200), found 201"));
  config = quick();
  config.warmup_steps = 70;
  CHECK(contains(problems_of(config), "train.warmup_steps: expected less than the run's 70 steps, found 70"));
  config.warmup_steps = 69;
  CHECK(problems_of(config).empty());
  config.steps = 60;
  CHECK(contains(problems_of(config), "60 steps"));
}

TEST_CASE("loss and accuracy of given logits by hand") {
  const auto logits = at::tensor({0.0f, 0.0f, 100.0f, 0.0f}).reshape({2, 2});
  const auto result = evaluate_logits(logits, at::tensor({1, 0}, at::kLong));
  CHECK(result.examples == 2);
  CHECK(result.loss == Approx(std::log(2.0) / 2).epsilon(1e-15));  // float64: ln 2 and e^-100
  CHECK(result.accuracy == 0.5);                                   // of equal logits the first counts
}

TEST_CASE("training on a GPU learns as on the CPU", "[gpu]") {
  if (!test::have_gpu()) return;
  const Quiet quiet;
  const auto data = dataset();
  const test::TemporaryFolder cpu_folder, gpu_folder;
  auto cpu = new_model(), gpu = new_model(5, at::kCUDA);
  ImageTrainer(cpu, data, quick(), {}, cpu_folder.path(), false).run();
  ImageTrainer(gpu, data, quick(), {}, gpu_folder.path(), false).run();
  CHECK(evaluate_classifier(gpu, data.test).accuracy > 0.95);
  const auto a = read_metrics(cpu_folder.path()), b = read_metrics(gpu_folder.path());
  REQUIRE(a.size() == b.size());
  // The first loss differs by rounding alone: sums of 16 products in float32, or in TF32 with 2^-10.
  CHECK(a[0].at("loss").get<double>() == Approx(b[0].at("loss").get<double>()).epsilon(1e-2));
}

}  // namespace
}  // namespace bilens::trainer_test
