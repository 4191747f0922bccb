#include "bilens/train/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <set>

#include "caught.h"
#include "temporary_folder.h"

namespace bilens::optimizer_test {
namespace {

using test::contains;

at::Tensor no() { return at::zeros({1}); }

/// A parameter of each kind that a decoder has.
NamedTensors parameters() {
  at::manual_seed(1);
  NamedTensors list;
  for (const auto& [name, shape] : std::vector<std::pair<std::string, std::vector<int64_t>>>{
           {"model.embed_tokens.weight", {7, 4}},
           {"model.layers.0.self_attn.q_proj.weight", {4, 4}},
           {"model.layers.0.mlp.gate_proj.weight", {6, 4}},
           {"model.layers.0.mlp.gate_proj.bias", {6}},
           {"model.layers.0.mlp.down_proj.weight", {4, 6}},
           {"model.norm.weight", {4}},
           {"lm_head.weight", {7, 4}}})
    list.emplace_back(name, at::randn(shape).requires_grad_(true));
  return list;
}

void set_gradients(const NamedTensors& list, uint64_t seed) {
  at::manual_seed(seed);
  for (const auto& [name, p] : list) p.mutable_grad() = at::randn(p.sizes());
}

OptimizerConfig config_of(Algorithm algorithm) { return {algorithm, {0.8, 0.95, 1e-8, 0.3}}; }

std::set<std::string> names_with(const Optimizer& optimizer, const std::string& prefix) {
  std::set<std::string> names;
  for (const auto& [name, tensor] : optimizer.state()) {
    if (name.starts_with(prefix)) names.insert(name.substr(prefix.size()));
  }
  return names;
}

TEST_CASE("Muon has the matrices between hidden layers, AdamW everything else or all") {
  const Optimizer muon(parameters(), config_of(Algorithm::kMuon));
  CHECK(names_with(muon, "momentum.") == std::set<std::string>{"model.layers.0.self_attn.q_proj.weight",
                                                               "model.layers.0.mlp.gate_proj.weight",
                                                               "model.layers.0.mlp.down_proj.weight"});
  CHECK(names_with(muon, "exp_avg.") == std::set<std::string>{"model.embed_tokens.weight",
                                                              "model.layers.0.mlp.gate_proj.bias",
                                                              "model.norm.weight", "lm_head.weight"});
  const Optimizer adamw(parameters(), config_of(Algorithm::kAdamW));
  CHECK(names_with(adamw, "momentum.").empty());
  CHECK(names_with(adamw, "exp_avg.").size() == parameters().size());
  NamedTensors matrices = {parameters()[1]};  // nothing for AdamW
  CHECK(names_with(Optimizer(matrices, config_of(Algorithm::kMuon)), "exp_avg.").empty());
}

TEST_CASE("the bytes of the moments are those that the optimizer holds") {
  for (const auto algorithm : {Algorithm::kAdamW, Algorithm::kMuon}) {
    for (const auto moments : {at::kFloat, at::kBFloat16}) {
      auto config = config_of(algorithm);
      config.adamw.moments = moments;
      int64_t counted = 0, held = 0;
      for (const auto& [name, p] : parameters()) counted += moment_bytes(name, p.sizes(), config);
      for (const auto& [name, tensor] : Optimizer(parameters(), config).state()) {
        if (!name.starts_with("step.")) held += static_cast<int64_t>(tensor.nbytes());
      }
      CHECK(counted == held);
    }
  }
}

TEST_CASE("each parameter moves as by its own algorithm alone") {
  const auto together = parameters(), apart = parameters();
  Optimizer optimizer(together, config_of(Algorithm::kMuon));
  NamedTensors hidden, rest;
  for (const auto& item : apart)
    (is_hidden_matrix(item.first, item.second.sizes()) ? hidden : rest).push_back(item);
  Muon muon(hidden, {.weight_decay = 0.3});
  AdamW adamw(rest, config_of(Algorithm::kMuon).adamw);
  for (int step = 0; step < 3; ++step) {
    set_gradients(together, step), set_gradients(apart, step);
    optimizer.step(0.1, no(), step);
    muon.step(0.1, no()), adamw.step(0.1, no(), step);
  }
  for (size_t i = 0; i < together.size(); ++i) CHECK(at::equal(together[i].second, apart[i].second));
}

TEST_CASE("clipping scales all gradients together, and zero only measures") {
  const auto list =
      NamedTensors{{"a", at::zeros({2, 1}).requires_grad_(true)}, {"b", at::zeros({1}).requires_grad_(true)}};
  Optimizer optimizer(list, config_of(Algorithm::kAdamW));
  const auto set = [&] {
    list[0].second.mutable_grad() = at::tensor({2.0f, 3.0f}).reshape({2, 1});
    list[1].second.mutable_grad() = at::tensor({6.0f});  // joint norm 7
  };
  set();
  CHECK(optimizer.clip_gradients(0.0).item<float>() == 7.0f);
  CHECK(list[1].second.grad().item<float>() == 6.0f);
  CHECK(optimizer.clip_gradients(10.0).item<float>() == 7.0f);
  CHECK(list[1].second.grad().item<float>() == 6.0f);
  CHECK(optimizer.clip_gradients(3.5).item<float>() == 7.0f);
  // The norm is raised by 1e-6 against division by zero: a relative error of 1.5e-7, and four roundings.
  CHECK(list[1].second.grad().item<float>() == Approx(3.0).epsilon(1.5e-7 + 4 * 1.2e-7));
  CHECK(list[0].second.grad()[0].item<float>() == Approx(1.0).epsilon(1.5e-7 + 4 * 1.2e-7));
  list[1].second.mutable_grad() = at::tensor({INFINITY});
  CHECK_FALSE(std::isfinite(optimizer.clip_gradients(0.0).item<float>()));
  optimizer.zero_grad();
  CHECK_FALSE(list[0].second.grad().defined());
}

TEST_CASE("an optimizer that loads another's state continues exactly as that one") {
  for (const auto algorithm : {Algorithm::kAdamW, Algorithm::kMuon}) {
    const test::TemporaryFolder folder;
    const auto first = parameters();
    Optimizer one(first, config_of(algorithm));
    for (int step = 0; step < 3; ++step) {
      set_gradients(first, step);
      one.step(0.1, no(), 0);
    }
    write_safetensors(folder / "o", one.state());

    const auto second = parameters();
    {
      const at::NoGradGuard no_grad;
      for (size_t i = 0; i < first.size(); ++i) at::Tensor(second[i].second).copy_(first[i].second);
    }
    Optimizer two(second, config_of(algorithm));
    two.load_state(SafetensorsFile(folder / "o"));
    for (int step = 3; step < 6; ++step) {
      set_gradients(first, step), set_gradients(second, step);
      one.step(0.1, no(), 0), two.step(0.1, no(), 0);
    }
    for (size_t i = 0; i < first.size(); ++i) CHECK(at::equal(first[i].second, second[i].second));
  }
}

TEST_CASE("a state of other shapes, or of another algorithm, is refused by name") {
  const test::TemporaryFolder folder;
  Optimizer optimizer(parameters(), config_of(Algorithm::kAdamW));
  NamedTensors damaged = optimizer.state();
  const std::string name = damaged[0].first;
  damaged[0].second = at::zeros({2, 3});
  write_safetensors(folder / "d", damaged);
  const auto error = test::caught([&] { optimizer.load_state(SafetensorsFile(folder / "d")); });
  CHECK(error.code() == ExitCode::kBadInput);
  CHECK(contains(error.what(), name + ": expected shape ["));
  CHECK(contains(error.what(), "], found shape [2, 3]"));
  write_safetensors(folder / "m", Optimizer(parameters(), config_of(Algorithm::kMuon)).state());
  CHECK(contains(test::caught([&] { optimizer.load_state(SafetensorsFile(folder / "m")); }).what(),
                 "exp_avg."));
}

}  // namespace
}  // namespace bilens::optimizer_test
