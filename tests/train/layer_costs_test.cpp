#include "bilens/train/layer_costs.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "catch.h"
#include "caught.h"

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

OwnFactors factors_of(const Decoder& model) {
  return [&model](int64_t layer) {
    const auto& own = model.layer(layer);
    return BilinearFactors{own.gate, own.up, own.down};
  };
}

/// Units z(y + step · r z), r the same random numbers for the same layer.
BilinearUnits moved(const Decoder& model, int64_t layer, double step) {
  at::manual_seed(10 + static_cast<uint64_t>(layer));
  const auto none = at::zeros({model.config().intermediate_size}, at::kDouble);
  return {none, at::ones_like(none), step * at::randn_like(none), none, none};
}

LayerUnits moved(const Decoder& model, const std::map<int64_t, double>& steps) {
  LayerUnits units;
  for (const auto& [layer, step] : steps) units[layer] = moved(model, layer, step);
  return units;
}

/// Mean loss of a model with such units in its weights.
double loss_with(const Decoder& model, const TextRows& rows, const std::map<int64_t, double>& steps) {
  const at::NoGradGuard no_grad;
  std::map<std::string, at::Tensor> weights(model.parameters().begin(), model.parameters().end());
  for (const auto& [layer, step] : steps) {
    const auto& own = model.layer(layer);
    const auto more = moved(model, layer, step).up_gate.to(at::kFloat).unsqueeze(1) * own.gate;
    weights.at("model.layers." + std::to_string(layer) + ".mlp.up_proj.weight") = own.up + more;
  }
  Decoder other(model.config(), weights);
  ForwardOptions options;
  options.document_starts = rows.starts;
  const auto losses = other.losses(rows.tokens, rows.targets.clamp_min(0), options);
  return losses.masked_select(rows.targets.ge(0)).mean(at::kDouble).item<double>();
}

TEST_CASE("what layers cost alone and together is what doing it costs") {
  auto model = bilinear_model("llama");
  const auto rows = text(5, 21);
  const std::map<int64_t, double> steps = {{0, 0.3}, {1, 0.2}, {2, 0.4}};
  const auto costs = measure_layer_costs(model, factors_of(model), moved(model, steps), rows);
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
      const double small = 3e-4, step = 3e-3;
      const auto costs = measure_layer_costs(model, factors_of(model), moved(model, {{layer, small}}), rows);
      const double slope =
          (loss_with(model, rows, {{layer, step}}) - loss_with(model, rows, {{layer, -step}})) / (2 * step);
      // Float32 losses are right to 1e-6, so the slope is to some 2e-4.
      CHECK(costs.layers.at(0).estimate / small == Approx(slope).epsilon(0.02).margin(1e-3));
      CHECK(std::abs(slope) > 5e-3);
    }
  }
}

TEST_CASE("of a large change the estimate has half the mean square too") {
  auto model = bilinear_model("llama");
  const auto rows = text(3, 21);
  const auto units = moved(model, {{2, 0.5}});
  const double found = measure_layer_costs(model, factors_of(model), units, rows).layers.at(0).estimate;
  // The last layer's: its output reaches the loss through the last norm alone.
  at::Tensor h, change;
  {
    const at::NoGradGuard no_grad;
    h = model.embed(rows.tokens);
    for (int64_t layer = 0; layer < 3; ++layer) {
      h = model.add_attention(layer, h, rows.starts);
      const auto x = model.mlp_input(layer, h), y = model.mlp_output(layer, x);
      const auto own = factors_of(model)(layer),
                 other = units.count(layer) == 0 ? own : units.at(layer).in(own);
      change = other.hidden(x.flatten(0, 1)).mm(other.down.t()).view(y.sizes()) - y;
      h = h + y;
    }
  }
  h = h.requires_grad_();
  model.loss_of_stream(h, rows.targets).backward();
  const auto dots = (h.grad() * change).sum(-1).to(at::kDouble);
  const double squares = 0.5 * dots.square().sum().item<double>();
  const double tokens = rows.targets.ge(0).sum().item<double>();
  CHECK(found == Approx((dots.sum().item<double>() + squares) / tokens).epsilon(1e-4));
  CHECK(squares / tokens > 0.05 * std::abs(found));  // or nothing would tell it from the first order
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
  const auto fitted = fit_layers(model, factors_of(model), {1}, false, rows);
  REQUIRE(fitted.size() == 1);
  const auto costs = measure_layer_costs(model, factors_of(model), fitted, rows);
  CHECK(costs.layers.at(0).layer == 1);
  CHECK(std::abs(costs.layers.at(0).alone) < 1e-5);
}

TEST_CASE("tokens whose targets do not count are not fitted to") {
  const auto model = bilinear_model("llama");
  auto config = model.config();
  config.set_gates({Gate::kSilu});
  Decoder gated(config, {model.parameters().begin(), model.parameters().end()});
  auto rows = text(40, 21);
  rows.targets.slice(1, 20).fill_(-1);  // the last of each row, which no other sees
  auto other = rows;
  other.tokens = rows.tokens.clone();
  other.tokens.slice(1, 20).fill_(3);
  const auto fit = [&](const TextRows& some) {
    return fit_layers(gated, factors_of(gated), {0}, false, some).at(0).up_gate;
  };
  const auto found = fit(rows);
  CHECK(at::allclose(fit(other), found, 1e-6, 1e-9));
  rows.targets.slice(1, 20).fill_(1);
  CHECK_FALSE(at::allclose(fit(rows), found, 1e-6, 1e-9));
}

TEST_CASE("a text without targets and a model without a loss are refused") {
  auto model = bilinear_model("llama");
  auto rows = text(2, 21);
  const auto measure = [&] { measure_layer_costs(model, factors_of(model), moved(model, {{1, 0.1}}), rows); };
  at::Tensor(model.layer(1).down).fill_(INFINITY);
  CHECK(test::contains(test::caught(measure).what(), "a finite number"));
  rows.targets.fill_(-1);
  CHECK(test::contains(test::caught(measure).what(), "tokens to predict"));
}

}  // namespace
}  // namespace bilens::layer_costs_test
