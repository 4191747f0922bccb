#include "bilens/train/finetune_task.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <set>

#include "bilens/train/text_comparison.h"
#include "bilens/train/text_evaluation.h"
#include "bilens/train/trainer.h"
#include "caught.h"
#include "temporary_folder.h"
#include "training_runs.h"

namespace bilens::finetune_task_test {
namespace {

using test::Quiet;

constexpr int64_t kContext = 16;

DecoderConfig tiny(bool bias = false) {
  DecoderConfig config;
  config.vocab_size = 23, config.hidden_size = 16, config.intermediate_size = 24;
  config.num_hidden_layers = 3, config.num_attention_heads = 2;
  config.max_position_embeddings = kContext, config.initializer_range = 0.3;
  config.mlp_bias = bias;
  std::vector<Problem> problems;
  config.resolve("", problems);
  REQUIRE(problems.empty());
  return config;
}

/// A gated model with biases that are not 0.
Decoder new_model(uint64_t seed = 5, bool bias = false) {
  Decoder model(tiny(bias), at::kCPU, seed);
  at::manual_seed(seed);
  for (const auto& [name, p] : model.parameters()) {
    if (name.ends_with(".bias")) at::Tensor(p).normal_(0, 0.3);
  }
  return model;
}

TokenStream random_stream(int64_t tokens, uint64_t seed) {
  at::manual_seed(seed);
  TokenStream stream{at::randint(2, 23, {tokens}, at::kInt), {}};
  for (int64_t i = 0; i < tokens; i += 21) {
    stream.starts.push_back(i);
    stream.ids[i] = 1;
  }
  stream.ids = stream.ids.to(id_type(23));
  return stream;
}

const TextParts& parts() {
  static const TextParts made = {random_stream(3000, 1), random_stream(300, 2), {}};
  return made;
}

TextDataConfig data_config() {
  TextDataConfig config;
  config.path = "random";
  config.context = kContext;
  return config;
}

FinetuneTrainConfig quick() {
  FinetuneTrainConfig config;
  config.steps = 20;
  config.batch_size = 4;
  config.learning_rate = 3e-3;
  return config;
}

double difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

at::Tensor logits(Decoder& model) {
  const at::NoGradGuard no_grad;
  at::manual_seed(3);
  return model.logits(model.final_states(at::randint(2, 23, {2, kContext}, at::kLong)));
}

std::vector<at::Tensor> weights(const Decoder& model) {
  std::vector<at::Tensor> list;
  for (const auto& [name, p] : model.parameters()) list.push_back(p.detach().clone());
  return list;
}

TEST_CASE("beta falls from 1 to 0 over its share of the steps, by formula") {
  AnnealConfig config;
  config.fraction = 0.5;
  const auto beta = [&](int64_t step) { return betas_at(config, step, 40, 3).front(); };
  CHECK(beta(0) == 1.0);
  CHECK(beta(5) == 0.75);
  CHECK(beta(19) == Approx(0.05).epsilon(1e-14));
  CHECK(beta(20) == 0.0);
  CHECK(beta(40) == 0.0);
  config.shape = AnnealShape::kCosine;
  CHECK(beta(0) == 1.0);
  CHECK(beta(10) == Approx(0.5).epsilon(1e-15));
  CHECK(beta(5) == Approx(0.5 + 0.5 * std::sqrt(0.5)).epsilon(1e-15));
  CHECK(beta(20) == 0.0);
  config.shape = AnnealShape::kExponential;
  CHECK(beta(0) == 1.0);
  CHECK(beta(10) == Approx(0.1).epsilon(1e-15));
  CHECK(beta(20) == 0.0);
  config.fraction = 0.0;
  CHECK(beta(0) == 0.0);
}

TEST_CASE("layers may take their turns, each with a share of the time for itself") {
  AnnealConfig config;
  config.fraction = 1.0;
  config.order = AnnealOrder::kFirstToLast;
  CHECK(betas_at(config, 0, 30, 3) == std::vector<double>{1, 1, 1});
  CHECK(betas_at(config, 5, 30, 3) == std::vector<double>{0.5, 1, 1});
  CHECK(betas_at(config, 15, 30, 3) == std::vector<double>{0, 0.5, 1});
  CHECK(betas_at(config, 30, 30, 3) == std::vector<double>{0, 0, 0});
  config.order = AnnealOrder::kLastToFirst;
  CHECK(betas_at(config, 15, 30, 3) == std::vector<double>{1, 0.5, 0});
}

TEST_CASE("layers that are not annealed are swapped at once, and take no turn") {
  AnnealConfig config;
  config.fraction = 1.0;
  config.layers = std::vector<int64_t>{0, 2};
  CHECK(betas_at(config, 0, 30, 3) == std::vector<double>{1, 0, 1});
  CHECK(betas_at(config, 15, 30, 3) == std::vector<double>{0.5, 0, 0.5});
  config.order = AnnealOrder::kLastToFirst;
  CHECK(betas_at(config, 15, 30, 3) == std::vector<double>{1, 0, 0});
  CHECK(betas_at(config, 24, 32, 3) == std::vector<double>{0.5, 0, 0});
}

TEST_CASE("folding the half into gate_proj changes nothing at beta 0") {
  for (const bool bias : {false, true}) {
    auto model = new_model(5, bias);
    const auto gated = logits(model);
    model.set_betas({0, 0, 0});
    const auto before = logits(model);
    auto bilinear = fold_half(model);
    CHECK(bilinear.config().hidden_act == Gate::kNone);
    // ½ is a power of two: at most the sigmoid's last bit, through three layers.
    CHECK(difference(logits(bilinear), before) < 1e-6 * before.abs().max().item<double>());
    CHECK(difference(before, gated) > 1e-2);
    CHECK_THROWS_AS(bilinear.set_betas({0, 0, 0}), std::invalid_argument);
  }
}

TEST_CASE("with nothing to learn from a teacher the model stays where it is") {
  const Quiet quiet;
  const test::TemporaryFolder folder;
  auto teacher = new_model(), model = new_model();
  auto config = quick();
  config.weight_decay = 0;
  config.loss = {0.0, 1.0, 2.0};
  FinetuneTask task(model, teacher, parts(), data_config(), config, std::nullopt, std::nullopt);
  CHECK(task.compute_gradients(0).item<double>() < 1e-6);
  for (const auto& [name, p] : model.parameters()) CHECK(p.grad().abs().max().item<double>() < 1e-6);
}

TEST_CASE("annealing towards a teacher ends bilinear and nearer to it than the swap") {
  const Quiet quiet;
  auto teacher = new_model();
  auto swapped = new_model();
  swapped = fold_half(swapped);
  const auto cold = compare_text(swapped, teacher, parts().validation, kContext).seen;
  for (const auto order : {AnnealOrder::kTogether, AnnealOrder::kLastToFirst}) {
    const test::TemporaryFolder folder;
    auto model = new_model();
    auto config = quick();
    config.steps = 60;
    config.loss = {0.0, 1.0, 1.0};
    AnnealConfig anneal;
    anneal.order = order;
    FinetuneTask task(model, teacher, parts(), data_config(), config, anneal, std::nullopt);
    Trainer(task, config, {}, folder.path(), false).run();
    model.require_gradients(false);
    model = fold_half(model);
    const auto seen = compare_text(model, teacher, parts().validation, kContext).seen;
    CHECK(seen.divergence < 0.5 * cold.divergence);
    CHECK(seen.agreement > cold.agreement);
    CHECK(seen.teacher_loss == cold.teacher_loss);
  }
}

TEST_CASE("MLPs alone: all else stays, bit for bit") {
  const Quiet quiet;
  const test::TemporaryFolder folder;
  auto teacher = new_model(), model = new_model();
  auto config = quick();
  config.trained = Trained::kMlps;
  FinetuneTask task(model, teacher, parts(), data_config(), config, AnnealConfig(), std::nullopt);
  Trainer(task, config, {}, folder.path(), false).run();
  const auto before = weights(teacher), after = weights(model);
  for (size_t i = 0; i < before.size(); ++i) {
    const auto& name = model.parameters()[i].first;
    CAPTURE(name);
    CHECK(at::equal(before[i], after[i]) == (name.find(".mlp.") == std::string::npos));
  }
}

TEST_CASE("a run resumed while beta falls, or after, ends in the same weights") {
  const Quiet quiet;
  auto teacher = new_model();
  auto config = quick();
  config.loss = {0.5, 0.5, 1.0};
  AnnealConfig anneal;
  anneal.fraction = 0.6;  // of 20 steps
  const CheckpointConfig checkpoint = {1, 7, 100};
  const test::TemporaryFolder whole;
  auto model = new_model();
  FinetuneTask task(model, teacher, parts(), data_config(), config, anneal, std::nullopt);
  Trainer(task, config, checkpoint, whole.path(), false).run();
  for (const char* from : {"step-7", "step-14"}) {
    const test::TemporaryFolder folder;
    std::filesystem::create_directories(folder / "checkpoints");
    std::filesystem::copy(whole / "checkpoints" / from, folder / "checkpoints" / from);
    auto resumed = new_model(99);
    FinetuneTask again(resumed, teacher, parts(), data_config(), config, anneal, std::nullopt);
    Trainer(again, config, checkpoint, folder.path(), true).run();
    const auto expected = weights(model), found = weights(resumed);
    for (size_t i = 0; i < expected.size(); ++i) CHECK(at::equal(expected[i], found[i]));
  }
}

TEST_CASE("a model beside itself: no divergence, full agreement, and the loss that evaluation gives") {
  auto model = new_model(), same = new_model(), other = new_model(6);
  const auto seen = compare_text(model, same, parts().validation, kContext).seen;
  CHECK(seen.divergence == 0.0);
  CHECK(seen.agreement == 1.0);
  CHECK(seen.layer_r2 == std::vector<double>{1, 1, 1});
  const auto evaluated = evaluate_text(model, parts().validation, kContext);
  CHECK(seen.tokens == evaluated.tokens);
  CHECK(seen.loss == Approx(evaluated.loss).epsilon(1e-6));  // float32 sums in another order
  const auto apart = compare_text(other, model, parts().validation, kContext).seen;
  CHECK(apart.divergence > 0.1);
  CHECK(apart.agreement < 0.5);
  CHECK(apart.layer_r2[0] < 0.5);
  CHECK(apart.teacher_loss == Approx(seen.loss).epsilon(1e-6));
}

}  // namespace
}  // namespace bilens::finetune_task_test
