#include "bilens/train/text_task.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "bilens/train/text_evaluation.h"
#include "bilens/train/trainer.h"
#include "caught.h"
#include "gpu.h"
#include "temporary_folder.h"
#include "training_runs.h"

namespace bilens::text_task_test {
namespace {

using test::caught;
using test::equal;
using test::Quiet;
using test::read_metrics;

constexpr int64_t kVocabulary = 23, kContext = 16, kBos = 1;

DecoderConfig tiny() {
  DecoderConfig config;
  config.vocab_size = kVocabulary, config.hidden_size = 16, config.intermediate_size = 24;
  config.num_hidden_layers = 2, config.num_attention_heads = 2;
  config.hidden_act = Gate::kNone;
  config.max_position_embeddings = kContext, config.initializer_range = 0.1;
  std::vector<Problem> problems;
  config.resolve("", problems);
  REQUIRE(problems.empty());
  return config;
}

/// Documents that count upwards from a random number: BOS, n, n + 1, ... modulo the vocabulary.
TokenStream counting(int64_t documents, uint64_t seed) {
  at::manual_seed(seed);
  std::vector<int32_t> ids;
  TokenStream stream;
  for (int64_t i = 0; i < documents; ++i) {
    stream.starts.push_back(static_cast<int64_t>(ids.size()));
    ids.push_back(kBos);
    const auto first = at::randint(0, kVocabulary - 2, {1}).item<int64_t>();
    const auto length = at::randint(5, 30, {1}).item<int64_t>();
    for (int64_t j = 0; j < length; ++j)
      ids.push_back(static_cast<int32_t>(2 + (first + j) % (kVocabulary - 2)));
  }
  stream.ids = at::tensor(ids, at::kInt).to(id_type(kVocabulary));
  return stream;
}

TextParts parts() { return {counting(200, 1), counting(20, 2), {}}; }

TextDataConfig data_config(Packing packing = Packing::kDocuments) {
  TextDataConfig config;
  config.path = "counting";
  config.context = kContext;
  config.packing = packing;
  return config;
}

TextTrainConfig quick() {
  TextTrainConfig config;
  config.steps = 60;
  config.batch_size = 8;
  config.learning_rate = 1e-2;
  config.validate_every = 20;
  return config;
}

Decoder new_model(uint64_t seed = 5, at::Device device = at::kCPU) { return Decoder(tiny(), device, seed); }

std::vector<at::Tensor> weights(const Decoder& model) {
  std::vector<at::Tensor> list;
  for (const auto& [name, p] : model.parameters()) list.push_back(p.detach().cpu().clone());
  return list;
}

/// Gradients of step 3, and the loss.
std::pair<std::vector<at::Tensor>, double> gradients(const TextTrainConfig& config,
                                                     Packing packing = Packing::kDocuments) {
  auto model = new_model();
  const auto data = parts();
  TextTask task(model, data, data_config(packing), config, std::nullopt);
  const double loss = task.compute_gradients(3).item<double>();
  std::vector<at::Tensor> list;
  for (const auto& [name, p] : model.parameters()) list.push_back(p.grad().clone());
  return {list, loss};
}

double relative_difference(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, ((a[i] - b[i]).norm() / b[i].norm()).item<double>());
  return worst;
}

// Sums of 128 positions in another order: some 30 roundings of float32.
constexpr double kRounding = 30 * 6e-8;

TEST_CASE("the loss of a text is that of its tokens, the same bits at any number of threads") {
  auto model = new_model();
  // Several parts of 512 tokens, of which each thread takes some, and a shorter last window.
  const auto stream = counting(170, 9);
  REQUIRE(stream.size() > 5 * 512);
  REQUIRE(stream.size() % kContext > 1);
  double expected = 0.0;
  int64_t tokens = 0;
  for (int64_t begin = 0; begin + 2 <= stream.size(); begin += kContext) {
    const auto window = make_batch(stream, {begin}, std::min<int64_t>(kContext, stream.size() - begin));
    expected += model.losses(window.inputs, window.targets).sum(at::kDouble).item<double>();
    tokens += window.targets.numel();
  }
  const int before = at::get_num_threads();
  std::vector<double> found;
  for (const int threads : {1, 2, 5}) {
    at::set_num_threads(threads);
    const auto result = evaluate_text(model, stream, kContext);
    CHECK(result.tokens == tokens);
    found.push_back(result.loss);
  }
  at::set_num_threads(before);
  // Some roundings of float32 in each token's loss differ where a product has other rows beside it.
  CHECK(found[0] == Approx(expected / static_cast<double>(tokens)).epsilon(1e-6));
  CHECK((found[1] == found[0] && found[2] == found[0]));
}

TEST_CASE("a batch in parts has the gradients of the whole batch, also of unequal parts") {
  auto config = quick();
  const auto [whole, loss] = gradients(config);
  for (const int64_t at_once : {1, 3, 4}) {
    config.micro_batch = at_once;
    const auto [found, its_loss] = gradients(config);
    CHECK(relative_difference(found, whole) < kRounding);
    CHECK(its_loss == Approx(loss).epsilon(kRounding));
  }
  config.micro_batch = 100;  // more than there are: the whole batch
  CHECK(equal(gradients(config).first, whole));
}

TEST_CASE("layers computed again have the same gradients") {
  auto config = quick();
  const auto whole = gradients(config).first;
  config.checkpoint_layers = true;
  CHECK(equal(gradients(config).first, whole));
}

TEST_CASE("bfloat16 products leave weights and gradients in float32, and are near") {
  auto config = quick();
  const auto [whole, loss] = gradients(config);
  config.compute = at::kBFloat16;
  const auto [found, its_loss] = gradients(config);
  for (const auto& g : found) CHECK(g.scalar_type() == at::kFloat);
  // Eight bits of mantissa, a dozen roundings on the way.
  CHECK(relative_difference(found, whole) < 12.0 / 256);
  CHECK(relative_difference(found, whole) > 1e-4);
  CHECK(its_loss == Approx(loss).epsilon(12.0 / 256));
}

TEST_CASE("the loss of a step is the mean over its windows, documents apart or not") {
  const auto data = parts();
  const auto config = quick();
  auto model = new_model();
  TrainingWindows windows(data.train.size(), kContext, config.batch_size, static_cast<uint64_t>(config.seed),
                          "");
  const auto batch = make_batch(data.train, windows.batch(3).begins, kContext + 1);
  ForwardOptions documents;
  documents.document_starts = batch.document_starts;
  const auto apart = model.losses(batch.inputs, batch.targets, documents).mean().item<double>();
  const auto plain = model.losses(batch.inputs, batch.targets).mean().item<double>();
  CHECK(gradients(config).second == Approx(apart).epsilon(kRounding));
  CHECK(gradients(config, Packing::kPlain).second == Approx(plain).epsilon(kRounding));
  CHECK(std::abs(apart - plain) > 1e-4);
}

TEST_CASE("counting is learnt, validation and steps are on record") {
  const Quiet quiet;
  const test::TemporaryFolder folder;
  const auto data = parts();
  auto model = new_model();
  auto config = quick();
  config.steps = 300;
  config.validate_every = 100;
  TextTask task(model, data, data_config(), config, std::nullopt);
  Trainer trainer(task, config, {}, folder.path(), false);
  const auto summary = trainer.run();
  CHECK(summary.steps == 300);
  // Only where a document begins and ends is left to chance: some 3 of the 17 tokens of a document, ln 21
  // each.
  const auto after = evaluate_text(model, data.validation, kContext);
  CHECK(after.loss < 0.75 * std::log(21.0));
  int64_t steps = 0, validations = 0;
  for (const auto& record : read_metrics(folder.path())) {
    if (record.contains("split")) {
      CHECK(record.at("step") == 100 * ++validations);
      for (const char* key : {"tokens", "loss", "perplexity", "peak_memory"})
        CHECK(record.at(key).is_number());
    } else {
      CHECK(record.at("step") == ++steps);
      for (const char* key : {"epoch", "loss", "grad_norm", "lr", "tokens_per_second", "mfu"})
        CHECK(record.at(key).is_number());
    }
  }
  CHECK(steps == 300);
  CHECK(validations == 3);
  CHECK(read_metrics(folder.path()).back().at("loss").get<double>() == Approx(after.loss).epsilon(1e-12));
}

TEST_CASE("a text run that continues from a checkpoint ends in the same weights") {
  const Quiet quiet;
  const auto data = parts();
  auto config = quick();
  config.micro_batch = 3;
  config.warmup_steps = 7;
  const test::TemporaryFolder whole, resumed_folder;
  auto model = new_model(), resumed = new_model(99);
  const CheckpointConfig checkpoint = {1, 25, 100};
  TextTask task(model, data, data_config(), config, std::nullopt);
  Trainer(task, config, checkpoint, whole.path(), false).run();
  CHECK(std::filesystem::exists(whole / "checkpoints/step-50/DONE"));
  CHECK(std::filesystem::exists(whole / "checkpoints/step-60/DONE"));

  std::filesystem::create_directories(resumed_folder / "checkpoints");
  std::filesystem::copy(whole / "checkpoints/step-25", resumed_folder / "checkpoints/step-25");
  std::filesystem::copy(whole / "metrics.jsonl", resumed_folder / "metrics.jsonl");
  TextTask again(resumed, data, data_config(), config, std::nullopt);
  Trainer(again, config, checkpoint, resumed_folder.path(), true).run();
  CHECK(equal(weights(model), weights(resumed)));
  const auto expected = read_metrics(whole.path()), found = read_metrics(resumed_folder.path());
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) CHECK(found[i].at("loss") == expected[i].at("loss"));
}

TEST_CASE("the operations of a token by hand") {
  auto config = tiny();
  // Per layer 4·16·16 + 3·16·24 weights, the head 23·16; attention 2 heads · 8 wide · 16 (half of both
  // products' 2·16).
  const double weights = 2 * (4 * 16 * 16 + 3 * 16 * 24) + 23 * 16 + 5 * 16;  // with 5 norms
  CHECK(training_flops(config, 16) == 6 * (weights + 2 * 2 * 8 * 16));
  config.tie_word_embeddings = true;
  CHECK(training_flops(config, 16) == 6 * (weights + 2 * 2 * 8 * 16));
}

TEST_CASE("steps of whole epochs, the last one may go on into the next") {
  TextTrainConfig config;
  config.batch_size = 8;
  config.epochs = 2;
  CHECK(config.total_steps(100) == 25);
  CHECK(config.total_steps(101) == 26);
  config.steps = 7;
  CHECK(config.total_steps(100) == 7);
}

TEST_CASE("a text that is shorter than a sequence is refused") {
  const TextParts data = {counting(1, 1), {}, {}};
  auto model = new_model();
  auto text = data_config();
  text.context = 1000;
  const auto error = caught([&] { TextTask(model, data, text, quick(), std::nullopt); });
  CHECK(error.code() == ExitCode::kBadInput);
  CHECK(test::contains(error.what(), "1001 tokens"));
}

TEST_CASE("a language model trains on a GPU as on the CPU", "[gpu]") {
  if (!test::have_gpu()) return;
  const Quiet quiet;
  const auto data = parts();
  const auto config = quick();
  std::vector<double> losses;
  for (const at::Device device : {at::Device(at::kCPU), at::Device(at::kCUDA)}) {
    const test::TemporaryFolder folder;
    auto model = new_model(5, device);
    TextTask task(model, data, data_config(), config, std::nullopt);
    Trainer(task, config, {}, folder.path(), false).run();
    losses.push_back(read_metrics(folder.path()).at(0).at("loss").get<double>());
  }
  // The first loss differs by rounding alone: float32, or TF32 with 2^-10.
  CHECK(losses[0] == Approx(losses[1]).epsilon(1e-2));
}

}  // namespace
}  // namespace bilens::text_task_test
