#include "bilens/train/layer_costs.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "catch.h"

namespace bilens::layer_costs_test {
namespace {

/// A model whose MLPs are bilinear already, so that bilinear ones near to its own are known.
Decoder bilinear_model(const std::string& type) {
  const Json config = {{"model_type", type},           {"vocab_size", 29},        {"hidden_size", 16},
                       {"intermediate_size", 24},      {"num_hidden_layers", 3},  {"num_attention_heads", 4},
                       {"num_key_value_heads", 2},     {"head_dim", 4},           {"initializer_range", 0.4},
                       {"bos_token_id", nullptr},      {"eos_token_id", nullptr}, {"hidden_act", "linear"},
                       {"hidden_activation", "linear"}};
  return {parse_decoder_config(config, ""), at::kCPU, 1};
}

/// Rows of random tokens, of which every third is not counted; documents of 7 tokens.
TextRows text(int64_t rows, int64_t length) {
  at::manual_seed(3);
  const auto tokens = at::randint(0, 29, {rows, length + 1}, at::kLong);
  auto targets = tokens.slice(1, 1).clone();
  targets.slice(1, 0, at::nullopt, 3).fill_(-1);
  const auto places = at::arange(length).expand({rows, length});
  return {tokens.slice(1, 0, length).contiguous(), targets, (places - places.remainder(7)).contiguous(), 2};
}

BilinearFactors factors(const Decoder& model, int64_t layer) {
  const auto& own = model.layer(layer);
  return {own.gate, own.up, own.down};
}

/// V + step · R, R the same random matrix for the same layer.
at::Tensor moved_up(const Decoder& model, int64_t layer, double step) {
  at::manual_seed(10 + static_cast<uint64_t>(layer));
  const auto& up = model.layer(layer).up;
  return up + step * at::randn(up.sizes());
}

/// Mean loss of the model whose layers have their up matrices moved by so much, each.
double loss_with(const Decoder& model, const TextRows& rows, const std::map<int64_t, double>& steps) {
  const at::NoGradGuard no_grad;
  std::map<std::string, at::Tensor> weights(model.parameters().begin(), model.parameters().end());
  for (const auto& [layer, step] : steps)
    weights.at("model.layers." + std::to_string(layer) + ".mlp.up_proj.weight") =
        moved_up(model, layer, step);
  Decoder other(model.config(), weights);
  ForwardOptions options;
  options.document_starts = rows.starts;
  const auto losses = other.losses(rows.tokens, rows.targets.clamp_min(0), options);
  return losses.masked_select(rows.targets.ge(0)).mean(at::kDouble).item<double>();
}

LayerFactors moved(const Decoder& model, const std::map<int64_t, double>& steps) {
  LayerFactors bilinear;
  for (const auto& [layer, step] : steps) {
    bilinear[layer] = factors(model, layer);
    bilinear[layer].up = moved_up(model, layer, step);
  }
  return bilinear;
}

TEST_CASE("what layers cost alone and together is what doing it costs") {
  auto model = bilinear_model("llama");
  const auto rows = text(5, 21);
  const std::map<int64_t, double> steps = {{0, 0.3}, {1, 0.2}, {2, 0.4}};
  const auto costs = measure_layer_costs(model, moved(model, steps), rows);
  CHECK(costs.teacher_loss == Approx(loss_with(model, rows, {})).epsilon(1e-6));
  REQUIRE(costs.layers.size() == 3);
  std::map<int64_t, double> together;
  double last = -HUGE_VAL;
  for (const auto& cost : costs.layers) {
    const auto rise = [&](const std::map<int64_t, double>& some) {  // float32 sums of some 4 nats a token
      return Approx(loss_with(model, rows, some) - costs.teacher_loss).margin(5e-6);
    };
    together[cost.layer] = steps.at(cost.layer);
    CHECK(cost.alone == rise({*steps.find(cost.layer)}));
    CHECK(cost.together == rise(together));
    CHECK(cost.alone >= last);
    last = cost.alone;
  }
}

TEST_CASE("the estimate is the first order of a small change, by one backward pass") {
  for (const std::string type : {"llama", "gemma2", "olmo2"}) {  // norms in front, around and behind
    auto model = bilinear_model(type);
    const auto rows = text(4, 21);
    for (const int64_t layer : {0, 1, 2}) {
      CAPTURE(type, layer);
      const double small = 1e-5, step = 3e-3;
      const auto costs = measure_layer_costs(model, moved(model, {{layer, small}}), rows);
      const double slope =
          (loss_with(model, rows, {{layer, step}}) - loss_with(model, rows, {{layer, -step}})) / (2 * step);
      // Float32 losses are right to 1e-6, so the slope is to some 2e-4.
      CHECK(costs.layers.at(0).estimate / small == Approx(slope).epsilon(0.02).margin(1e-3));
      CHECK(std::abs(slope) > 5e-3);
    }
  }
}

TEST_CASE("layers within a budget are those that stay below it together, the most of them") {
  ConversionCosts costs;
  costs.layers = {{4, 0.1, 0.0, 0.1}, {0, 0.2, 0.0, 0.35}, {2, 0.3, 0.0, 0.3}, {1, 0.9, 0.0, 1.5}};
  CHECK(layers_within(costs, 0.05).empty());
  CHECK(layers_within(costs, 0.1) == std::vector<int64_t>{4});
  CHECK(layers_within(costs, 0.3) == std::vector<int64_t>{0, 2, 4});
  CHECK(layers_within(costs, HUGE_VAL) == std::vector<int64_t>{0, 1, 2, 4});
}

TEST_CASE("units fitted to layers that are bilinear are the layers' own") {
  auto model = bilinear_model("llama");
  const auto rows = text(40, 21);
  const auto fitted = fit_layers(model, {{1, factors(model, 1)}}, rows);
  REQUIRE(fitted.size() == 1);
  const auto costs = measure_layer_costs(model, fitted, rows);
  CHECK(costs.layers.at(0).layer == 1);
  CHECK(std::abs(costs.layers.at(0).alone) < 1e-5);
}

}  // namespace
}  // namespace bilens::layer_costs_test
