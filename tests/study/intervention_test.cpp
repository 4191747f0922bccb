#include "bilens/study/intervention.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "bilens/core/error.h"
#include "catch.h"
#include "decomposed_decoder.h"

namespace bilens::intervention_test {
namespace {

using namespace test;

/// Without biases a direction's output is its eigenpairs' contributions and nothing else.
Decoder bilinear_model() { return random_model(Gate::kNone, false); }

/// The k leading eigenpairs of one direction.
ChosenPairs pairs_of(const Decoder& model, int64_t k) {
  const auto of = decompose(model, k, true);
  return {1,
          of.decomposition.directions[0],
          of.decomposition.pairs.eigenvectors[0],
          of.decomposition.pairs.eigenvalues[0],
          {of.gain, {}},
          {},
          {}};
}

InterventionConfig changing(Change change) {
  InterventionConfig config;
  config.change = change, config.controls = 2, config.looked_at = 1;
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
  CHECK(own.what == Changed::kEigenvectors);
  CHECK(direction.what == Changed::kDirection);
  CHECK(std::abs(own.size - direction.size) < kFloat32 * direction.size);
  CHECK(std::abs(own.change.loss.mean - direction.change.loss.mean) < kFloat32);
  CHECK(std::abs(own.change.divergence.mean - direction.change.divergence.mean) < kFloat32);
  CHECK(own.change.divergence.mean > 1e-3);  // something happened
  CHECK(own.change.divergence.low <= own.change.divergence.mean);
  CHECK(own.change.divergence.mean <= own.change.divergence.high);
  CHECK(own.change.loss.low < own.change.loss.high);
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
      const auto gain = pairs.gains.before.to(at::kDouble);
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
  CHECK(std::abs(effect.change.loss.mean - (loss - base) / count) < kFloat32);
  CHECK(std::abs(effect.change.logits.mean - logits / count) < 10 * kFloat32);
  CHECK(std::abs(effect.change.divergence.mean - divergence / count) < kFloat32);
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
    CHECK(effect.change.loss.mean == 0.0);
  }
}

TEST_CASE("what is drawn at random is a permutation of the tokens' own") {
  auto model = bilinear_model();
  const auto stream = random_stream();
  const auto pairs = pairs_of(model, 8);  // all of them: q is u·y
  std::vector<at::Tensor> parts;
  text_of(stream).each("by hand", [&](const TokenBatch& batch, ForwardOptions options) {
    options.mlp_hook = [&](int64_t layer, const at::Tensor&, const at::Tensor& y) {
      if (layer == pairs.layer)
        parts.push_back(y.detach().flatten(0, 1).to(at::kDouble).mv(pairs.direction.to(at::kDouble)));
      return y;
    };
    model.final_states(batch.inputs, options);
  });
  const auto q = at::cat(parts);
  const auto order = at::randperm(q.size(0), make_generator(at::kCPU, derive_seed(0, "resample")), at::kLong);
  const double expected = (q.index_select(0, order) - q).square().mean().sqrt().item<double>();
  const auto study = intervene(model, text_of(stream), pairs, changing(Change::kResample), nullptr, {});
  for (const size_t i : {0, 1}) CHECK(std::abs(study.effects[i].size - expected) < kFloat32 * expected);
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
    CHECK(zero.effects[i].what == Changed::kSameMean);
    CHECK(std::abs(mean_of(i) - mean_of(0)) < 1e-9 * mean_of(0));
  }
  CHECK(std::abs(mean_of(2) - mean_of(0)) > 1e-3 * mean_of(0));
  const auto again = intervene(model, text_of(stream), pairs, changing(Change::kZero), nullptr, {});
  auto other_seed = changing(Change::kZero);
  other_seed.seed = 1;
  const auto other = intervene(model, text_of(stream), pairs, other_seed, nullptr, {});
  CHECK(again.effects[2].change.loss.mean == zero.effects[2].change.loss.mean);
  CHECK(again.effects[0].change.loss.low == zero.effects[0].change.loss.low);
  CHECK(other.effects[2].change.loss.mean != zero.effects[2].change.loss.mean);
  CHECK(other.effects[0].change.loss.mean == zero.effects[0].change.loss.mean);
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

TEST_CASE("eigenvectors are held against controls by the paired difference of documents") {
  auto model = bilinear_model();
  const auto stream = random_stream();
  const auto study =
      intervene(model, text_of(stream), pairs_of(model, 1), changing(Change::kZero), nullptr, at::ones({19}));
  const auto& own = study.effects[0].change;
  for (const auto& effect : study.effects) {
    // A mean over tokens is linear, so the difference of means is the mean of differences; intervals are not.
    CHECK(std::abs(effect.difference.loss.mean - (own.loss.mean - effect.change.loss.mean)) < 1e-12);
    CHECK(effect.difference.loss.documents == study.documents);
  }
  CHECK(study.effects[0].difference.loss.high == 0.0);
  REQUIRE(study.tests.size() == 2);
  for (size_t kind = 0; kind < 2; ++kind) {
    const auto& test = study.tests[kind];
    const auto &first = study.effects[2 + 2 * kind], &second = study.effects[3 + 2 * kind];
    CHECK(test.what == first.what);
    CHECK(test.controls == 2);
    const double mean = (first.change.divergence.mean + second.change.divergence.mean) / 2;
    CHECK(std::abs(test.of.divergence.difference.mean - (own.divergence.mean - mean)) < 1e-12);
    CHECK(test.of.divergence.p ==
          rank_p(own.divergence.mean, {first.change.divergence.mean, second.change.divergence.mean}));
  }
}

TEST_CASE("by default there are as many controls as p of .05 needs for all eigenvectors looked at") {
  CHECK(InterventionConfig().resolved(1).controls == 19);
  CHECK(InterventionConfig().resolved(3).controls == 59);
  InterventionConfig config;
  config.looked_at = 10;
  CHECK(config.resolved(1).controls == 199);
  config.looked_at = 100;
  CHECK(config.resolved(1).controls == kMostControls);  // fewer than it takes, which the result says
  config.controls = 7;
  CHECK(config.resolved(1).controls == 7);
}

}  // namespace
}  // namespace bilens::intervention_test
