#include "bilens/train/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <set>

#include "caught.h"
#include "optimizer_state.h"
#include "ranks_as_threads.h"
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

/// What each rank sees of a step: numbers whose sums are exact in any order.
std::vector<std::vector<at::Tensor>> exact_gradients(const NamedTensors& list, int64_t ranks, uint64_t seed) {
  at::manual_seed(seed);
  std::vector<std::vector<at::Tensor>> gradients(ranks);
  for (auto& own : gradients) {
    for (const auto& [name, p] : list) own.push_back(at::randint(-8, 9, p.sizes(), at::kFloat) / 4);
  }
  return gradients;
}

TEST_CASE("processes share out the moments, and move the parameters as one process does") {
  constexpr int kSteps = 4, kNotFinite = 1;
  // One of eight processes has no parameter.
  for (const int64_t count : {2, 3, 8}) {
    for (const auto algorithm : {Algorithm::kAdamW, Algorithm::kMuon}) {
      const auto alone = parameters();
      std::vector<NamedTensors> shared;
      for (int64_t rank = 0; rank < count; ++rank) shared.push_back(parameters());
      std::vector<std::vector<std::vector<at::Tensor>>> of_step;
      Optimizer one(alone, config_of(algorithm));
      std::vector<double> norms;
      for (int step = 0; step < kSteps; ++step) {
        auto& gradients = of_step.emplace_back(exact_gradients(alone, count, step));
        if (step == kNotFinite) gradients[count - 1][2][0][0] = INFINITY;
        for (size_t i = 0; i < alone.size(); ++i) {
          auto sum = gradients[0][i].clone();
          for (int64_t rank = 1; rank < count; ++rank) sum += gradients[rank][i];
          alone[i].second.mutable_grad() = sum;
        }
        const auto norm = one.clip_gradients(1.0);
        norms.push_back(norm.item<double>());
        one.step(0.1, norm.isfinite().logical_not().to(at::kFloat).view({1}), step);
      }
      const auto expected = one.state();
      test::all_well(count, [&](const Ranks& ranks) {
        const auto& own = shared[ranks.rank()];
        Optimizer optimizer(own, config_of(algorithm), ranks);
        for (int step = 0; step < kSteps; ++step) {
          for (size_t i = 0; i < own.size(); ++i)
            own[i].second.mutable_grad() = of_step[step][ranks.rank()][i].clone();
          auto measured = at::tensor({1.0f, static_cast<float>(ranks.rank())});
          const auto norm = optimizer.clip_gradients(1.0, measured);
          const double wanted = norms[step], ranks_sum = static_cast<double>(count * (count - 1)) / 2;
          if (norm.item<double>() != wanted || measured[0].item<double>() != static_cast<double>(count) ||
              measured[1].item<double>() != ranks_sum)
            throw std::runtime_error("another norm or measure in step " + std::to_string(step));
          optimizer.step(0.1, norm.isfinite().logical_not().to(at::kFloat).view({1}), step);
        }
        const auto state = optimizer.state();
        if (!ranks.first() && !state.empty()) throw std::runtime_error("the first alone gets the state");
        if (ranks.first() && state.size() != expected.size()) throw std::runtime_error("not the whole state");
        for (const auto& [name, tensor] : state) {
          if (!at::equal(tensor, test::state_of(one, name))) throw std::runtime_error("another " + name);
        }
      });
      for (const auto& own : shared) {
        for (size_t i = 0; i < own.size(); ++i) CHECK(at::equal(own[i].second, alone[i].second));
      }
    }
  }
}

TEST_CASE("each parameter's moments are in one process, and no process has much more than another") {
  // 12 matrices of 100 numbers each and 4 of 30, of which AdamW keeps two moments.
  NamedTensors list;
  for (int i = 0; i < 12; ++i) list.emplace_back("large." + std::to_string(i), at::zeros({10, 10}));
  for (int i = 0; i < 4; ++i) list.emplace_back("small." + std::to_string(i), at::zeros({5, 6}));
  const auto owners = parameter_owners(list, config_of(Algorithm::kAdamW), 4);
  std::vector<int64_t> held(4);
  for (size_t i = 0; i < list.size(); ++i) held[owners[i]] += list[i].second.numel();
  CHECK(held == std::vector<int64_t>(4, 330));
}

TEST_CASE("processes continue from the state that the first one loads") {
  for (const auto algorithm : {Algorithm::kAdamW, Algorithm::kMuon}) {
    const test::TemporaryFolder folder;
    const auto alone = parameters();
    Optimizer one(alone, config_of(algorithm));
    set_gradients(alone, 0);
    one.step(0.1, no(), 0);
    write_safetensors(folder / "o", one.state());
    std::vector<NamedTensors> shared(3);
    for (auto& own : shared) {
      for (const auto& [name, p] : alone) own.emplace_back(name, p.detach().clone().requires_grad_(true));
    }
    const auto gradients = exact_gradients(alone, 3, 7);
    for (size_t i = 0; i < alone.size(); ++i)
      alone[i].second.mutable_grad() = gradients[0][i] + gradients[1][i] + gradients[2][i];
    one.clip_gradients(0.0);
    one.step(0.1, no(), 1);
    test::all_well(3, [&](const Ranks& ranks) {
      const auto& own = shared[ranks.rank()];
      Optimizer optimizer(own, config_of(algorithm), ranks);
      if (ranks.first()) optimizer.load_state(SafetensorsFile(folder / "o"));
      optimizer.share_state();
      for (size_t i = 0; i < own.size(); ++i)
        own[i].second.mutable_grad() = gradients[ranks.rank()][i].clone();
      optimizer.clip_gradients(0.0);
      optimizer.step(0.1, no(), 1);
    });
    for (const auto& own : shared) {
      for (size_t i = 0; i < own.size(); ++i) CHECK(at::equal(own[i].second, alone[i].second));
    }
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
