#include "bilens/study/intervention.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "bilens/core/error.h"
#include "catch.h"
#include "decomposed_llama.h"

namespace bilens {
namespace {

using namespace test;

/// Without biases a direction's output is its eigenpairs' contributions and nothing else.
LlamaDecoder bilinear_model() { return random_model(Gate::kNone, false); }

/// The k leading eigenpairs of one direction.
ChosenPairs pairs_of(const LlamaDecoder& model, int64_t k) {
  const auto of = decompose(model, k, true);
  return {1,
          of.decomposition.directions[0],
          of.decomposition.pairs.eigenvectors[0],
          of.decomposition.pairs.eigenvalues[0],
          of.gain,
          {},
          {}};
}

InterventionConfig changing(Change change) {
  InterventionConfig config;
  config.change = change, config.controls = 2, config.draws = 200;
  return config;
}

TEST_CASE("all eigenpairs together are the whole direction, whatever takes their place") {
  const auto change = GENERATE(Change::kZero, Change::kMean, Change::kResample, Change::kScale);
  auto model = bilinear_model();
  const auto stream = random_stream();
  const auto study =
      intervene(model, text_of(stream), pairs_of(model, 8), changing(change), nullptr, at::ones({19}));
  REQUIRE(study.effects.size() == 2 + 2 * 2);
  CHECK(study.tokens == kTokens - 10);
  CHECK(study.documents == 3);
  const auto &own = study.effects[0], &direction = study.effects[1];
  CHECK(own.what == "eigenvectors");
  CHECK(direction.what == "direction");
  CHECK(std::abs(own.size - direction.size) < kFloat32 * direction.size);
  CHECK(std::abs(own.loss.mean - direction.loss.mean) < kFloat32);
  CHECK(std::abs(own.divergence.mean - direction.divergence.mean) < kFloat32);
  CHECK(own.divergence.mean > 1e-3);  // something happened
  CHECK(own.divergence.low <= own.divergence.mean);
  CHECK(own.divergence.mean <= own.divergence.high);
  CHECK(own.loss.low < own.loss.high);
}

TEST_CASE("an effect is what the model does with the contribution taken out by hand") {
  auto model = bilinear_model();
  const auto stream = random_stream();
  const auto pairs = pairs_of(model, 1);
  const at::NoGradGuard no_grad;
  const auto logit_direction = at::randn({19}, make_generator(at::kCPU, 1), at::TensorOptions());
  const auto study =
      intervene(model, text_of(stream), pairs, changing(Change::kZero), nullptr, logit_direction);
  double base = 0, loss = 0, logits = 0, divergence = 0, square = 0;
  text_of(stream).each("by hand", [&](const TokenBatch& batch, ForwardOptions options) {
    const auto read = [&](const ForwardOptions& how) {
      return model.logits(model.final_states(batch.inputs, how));
    };
    const auto own = read(options);
    options.mlp_hook = [&](int64_t layer, const at::Tensor& x, const at::Tensor& y) {
      if (layer != pairs.layer) return y;
      const auto gain = pairs.gain.to(at::kDouble);
      const auto p = at::where(gain == 0, 0.0, x.to(at::kDouble) / gain).matmul(pairs.vectors[0]);
      const auto q = p.square() * pairs.values[0];
      square += q.square().sum().item<double>();
      const auto u = pairs.direction.to(at::kDouble);
      return (y.to(at::kDouble) - q.unsqueeze(-1) * u / u.dot(u)).to(at::kFloat);
    };
    const auto changed = read(options);
    const auto loss_of = [&](const at::Tensor& of) {
      return at::cross_entropy_loss(of.flatten(0, 1), batch.targets.flatten(), {}, at::Reduction::Sum)
          .item<double>();
    };
    base += loss_of(own), loss += loss_of(changed);
    logits += (changed - own).matmul(logit_direction).sum().item<double>();
    divergence +=
        at::kl_div(changed.log_softmax(-1), own.log_softmax(-1), at::Reduction::Sum, true).item<double>();
  });
  const auto count = static_cast<double>(study.tokens);
  const auto& effect = study.effects[0];
  CHECK(std::abs(study.loss - base / count) < kFloat32);
  CHECK(std::abs(effect.loss.mean - (loss - base) / count) < kFloat32);
  CHECK(std::abs(effect.logits.mean - logits / count) < 10 * kFloat32);
  CHECK(std::abs(effect.divergence.mean - divergence / count) < kFloat32);
  CHECK(std::abs(effect.size - std::sqrt(square / count)) < kFloat32 * effect.size);
}

TEST_CASE("what puts in what was there changes nothing") {
  auto model = bilinear_model();
  const auto stream = random_stream();
  auto config = changing(Change::kScale);
  config.factor = 1.0;
  const auto text = text_of(stream);
  const bool patched = GENERATE(false, true);
  if (patched) config = changing(Change::kPatch);
  const auto study = intervene(model, text, pairs_of(model, 2), config, patched ? &text : nullptr, {});
  for (const auto& effect : study.effects) {
    CHECK(effect.size == 0.0);
    CHECK(effect.loss.mean == 0.0);
  }
}

TEST_CASE("controls with the same mean have it, and seeds repeat them") {
  auto model = bilinear_model();
  const auto stream = random_stream();
  const auto pairs = pairs_of(model, 1);
  const auto zero = intervene(model, text_of(stream), pairs, changing(Change::kZero), nullptr, {});
  const auto mean = intervene(model, text_of(stream), pairs, changing(Change::kMean), nullptr, {});
  // Zero leaves out mean and spread, "mean" the spread alone: size² = mean² + variance.
  const auto mean_of = [&](size_t i) {
    return std::sqrt(std::pow(zero.effects[i].size, 2) - std::pow(mean.effects[i].size, 2));
  };
  for (const size_t i : {4, 5}) {
    CHECK(zero.effects[i].what == "random, same mean");
    CHECK(std::abs(mean_of(i) - mean_of(0)) < 1e-9 * mean_of(0));
  }
  CHECK(std::abs(mean_of(2) - mean_of(0)) > 1e-3 * mean_of(0));
  const auto again = intervene(model, text_of(stream), pairs, changing(Change::kZero), nullptr, {});
  auto other_seed = changing(Change::kZero);
  other_seed.seed = 1;
  const auto other = intervene(model, text_of(stream), pairs, other_seed, nullptr, {});
  CHECK(again.effects[2].loss.mean == zero.effects[2].loss.mean);
  CHECK(again.effects[0].loss.low == zero.effects[0].loss.low);
  CHECK(other.effects[2].loss.mean != zero.effects[2].loss.mean);
  CHECK(other.effects[0].loss.mean == zero.effects[0].loss.mean);
}

TEST_CASE("values of another text need one that is long enough; a direction must not be 0") {
  auto model = bilinear_model();
  const auto stream = random_stream(), other = random_stream(6);
  const TextWindows shorter = {other, 0, 100, kContext, Packing::kPlain}, whole = text_of(other);
  const auto pairs = pairs_of(model, 1);
  CHECK_THROWS_AS(intervene(model, text_of(stream), pairs, changing(Change::kPatch), &shorter, {}), Error);
  CHECK(intervene(model, text_of(stream), pairs, changing(Change::kPatch), &whole, {}).effects[0].size > 0);
  auto none = pairs;
  none.direction = at::zeros({8});
  CHECK_THROWS_AS(intervene(model, text_of(stream), none, changing(Change::kZero), nullptr, {}), Error);
}

TEST_CASE("one document gives no interval; a planted figure gives the textbook one") {
  const auto one = bootstrap_documents(at::tensor({5, 0}, at::kLong),
                                       at::tensor({10.0, 0.0}, at::kDouble).unsqueeze(0), 100, 0);
  CHECK(one[0].mean == 2.0);
  CHECK(std::isnan(one[0].low));
  // Documents of one token each, normal figures: the mean ± 1.96 standard errors.
  constexpr int64_t kDocuments = 400;
  const auto figures = at::randn({1, kDocuments}, make_generator(at::kCPU, 2), at::dtype(at::kDouble));
  const auto found = bootstrap_documents(at::ones({kDocuments}, at::kLong), figures, 4000, 3)[0];
  const double error = figures.std(1, true).item<double>() / std::sqrt(double{kDocuments});
  CHECK(std::abs(found.mean - figures.mean().item<double>()) < 1e-12);
  // 4000 draws know a 2.5% quantile to some 4% of the half width; three times that.
  CHECK(std::abs(found.high - found.mean - 1.96 * error) < 0.12 * 1.96 * error);
  CHECK(std::abs(found.mean - found.low - 1.96 * error) < 0.12 * 1.96 * error);
}

}  // namespace
}  // namespace bilens
