#include "bilens/train/adamw.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "catch.h"
#include "optimizer_state.h"

namespace bilens::adamw_test {
namespace {

using test::state_of;

/// The equations of arXiv 1711.05101, algorithm 2, element by element in float64.
struct Reference {
  std::vector<double> p, m, v;
  double decay = 0;
  int64_t t = 0;

  void step(const std::vector<double>& g, double lr, const AdamWConfig& c) {
    ++t;
    for (size_t i = 0; i < p.size(); ++i) {
      m[i] = c.beta1 * m[i] + (1 - c.beta1) * g[i];
      v[i] = c.beta2 * v[i] + (1 - c.beta2) * g[i] * g[i];
      const double m_hat = m[i] / (1 - std::pow(c.beta1, t)), v_hat = v[i] / (1 - std::pow(c.beta2, t));
      p[i] -= lr * (m_hat / (std::sqrt(v_hat) + c.epsilon) + decay * p[i]);
    }
  }
};

const AdamWConfig kConfig = {0.8, 0.95, 1e-8, 0.3};
at::Tensor no() { return at::zeros({1}); }
at::Tensor yes() { return at::ones({1}); }

/// A matrix (which decays) and a vector (which does not).
NamedTensors parameters() {
  at::manual_seed(1);
  return {{"w", at::randn({3, 2}).requires_grad_(true)}, {"b", at::randn({4}).requires_grad_(true)}};
}

void set_gradients(const NamedTensors& list, uint64_t seed, double scale = 1.0) {
  at::manual_seed(seed);
  for (const auto& [name, p] : list) p.mutable_grad() = at::randn(p.sizes()) * scale;
}

std::vector<double> numbers(const at::Tensor& tensor) {
  const auto flat = tensor.detach().to(at::kDouble).flatten().contiguous();
  return {flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel()};
}

TEST_CASE("the first step by hand: the sign of the gradient times the rate, and decay") {
  auto w = at::full({1, 1}, 2.0f).requires_grad_(true), b = at::tensor({2.0f}).requires_grad_(true);
  AdamW optimizer({{"w", w}, {"b", b}}, {0.9, 0.999, 0.0, 0.5});
  w.mutable_grad() = at::full({1, 1}, 7.0f);
  b.mutable_grad() = at::tensor({-7.0f});
  optimizer.step(0.1, no(), 0);
  CHECK(w.item<float>() == Approx(2.0 - 0.1 * (1 + 0.5 * 2.0)).epsilon(4 * 1.2e-7));  // four roundings
  CHECK(b.item<float>() == Approx(2.0 + 0.1).epsilon(4 * 1.2e-7));
}

TEST_CASE("ten steps of both groups follow the equations in float64") {
  const auto list = parameters();
  AdamW optimizer(list, kConfig);
  std::vector<Reference> references;
  for (const auto& [name, p] : list) {
    const auto zero = std::vector<double>(static_cast<size_t>(p.numel()));
    references.push_back({numbers(p), zero, zero, name == "w" ? kConfig.weight_decay : 0.0, 0});
  }
  for (int step = 0; step < 10; ++step) {
    set_gradients(list, 100 + step);
    const double lr = 0.05 / (1 + step);
    for (size_t i = 0; i < list.size(); ++i) references[i].step(numbers(list[i].second.grad()), lr, kConfig);
    optimizer.step(lr, no(), 0);
  }
  for (size_t i = 0; i < list.size(); ++i) {
    const auto found = numbers(list[i].second);
    for (size_t j = 0; j < found.size(); ++j) {
      // Ten updates of at most 0.05 each, each with about ten roundings, and ten roundings of a parameter
      // below 3.
      CHECK(std::abs(found[j] - references[i].p[j]) < 1.2e-7 * (10 * 3 + 10 * 10 * 0.05));
    }
  }
  CHECK(state_of(optimizer, "step.w").item<float>() == 10.0f);
}

TEST_CASE("a skipped step leaves parameters, moments and the count as they were") {
  const auto list = parameters();
  AdamW optimizer(list, kConfig);
  set_gradients(list, 1);
  optimizer.step(0.1, no(), 0);
  std::vector<at::Tensor> before;
  for (const auto& [name, p] : list) before.push_back(p.detach().clone());
  for (const auto& [name, tensor] : optimizer.state()) before.push_back(tensor.clone());

  for (const auto& [name, p] : list) p.mutable_grad() = at::full(p.sizes(), NAN);
  optimizer.step(0.1, yes(), 0);
  size_t i = 0;
  for (const auto& [name, p] : list) CHECK(at::equal(p, before[i++]));
  for (const auto& [name, tensor] : optimizer.state()) CHECK(at::equal(tensor, before[i++]));
  // And the next one that is not skipped moves on from there.
  set_gradients(list, 2);
  optimizer.step(0.1, no(), 0);
  CHECK_FALSE(at::equal(list[0].second, before[0]));
  CHECK(state_of(optimizer, "step.b").item<float>() == 2.0f);
}

TEST_CASE("bfloat16 moments: the mean of both is that of float32, where nearest rounding would stand still") {
  // g² alternates around 1 and then around 1/2: at β₂ = .999 each change is below bfloat16's resolution.
  const int64_t size = 4096;
  const AdamWConfig exact = {0.9, 0.999, 1e-8, 0.0};
  auto rounded = exact;
  rounded.moments = at::kBFloat16, rounded.seed = 7;
  auto a = at::zeros({1, size}).requires_grad_(true), b = at::zeros({1, size}).requires_grad_(true);
  AdamW one({{"w", a}}, exact), other({{"w", b}}, rounded);
  for (int64_t step = 0; step < 1500; ++step) {
    const float g = (step % 2 == 0 ? 1.0f : -1.0f) * (step < 700 ? 1.0f : 0.70710678f);
    for (auto* p : {&a, &b}) p->mutable_grad() = at::full({1, size}, g);
    one.step(1e-3, no(), step);
    other.step(1e-3, no(), step);
  }
  const auto v = state_of(other, "exp_avg_sq.w");
  CHECK(v.scalar_type() == at::kBFloat16);
  const double expected = state_of(one, "exp_avg_sq.w").mean().item<double>();
  // A step's rounding errs by at most 2^-8 and decays over 1,000 steps: its deviation below 2^-8 √(1000/2) of
  // v, over 4,096 entries a 64th of that, five times over.
  CHECK(std::abs(v.to(at::kDouble).mean().item<double>() / expected - 1) < 5 * std::sqrt(500.0) / 256 / 64);
  CHECK((b - a).abs().max().item<double>() <
        0.1 * 1e-3 * std::sqrt(1500.0));  // a random walk of small errors
  // The same number draws the same rounding, another another.
  const auto again = [&](int64_t number) {
    auto p = at::zeros({1, size}).requires_grad_(true);
    AdamW optimizer({{"w", p}}, rounded);
    p.mutable_grad() = at::full({1, size}, 0.3f);
    optimizer.step(1e-3, no(), number);
    return state_of(optimizer, "exp_avg_sq.w").clone();
  };
  CHECK(again(3).equal(again(3)));
  CHECK_FALSE(again(3).equal(again(4)));
}

TEST_CASE("a skipped step leaves bfloat16 moments as they are") {
  AdamWConfig config = kConfig;
  config.moments = at::kBFloat16;
  const auto list = parameters();
  AdamW optimizer(list, config);
  set_gradients(list, 5);
  optimizer.step(0.1, no(), 0);
  std::vector<at::Tensor> before;
  for (const auto& [name, tensor] : optimizer.state()) before.push_back(tensor.clone());
  set_gradients(list, 6);
  optimizer.step(0.1, yes(), 1);
  size_t i = 0;
  for (const auto& [name, tensor] : optimizer.state()) CHECK(tensor.equal(before[i++]));
}

}  // namespace
}  // namespace bilens::adamw_test
