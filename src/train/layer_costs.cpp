#include "bilens/train/layer_costs.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/train/unit_fit.h"

namespace bilens {

namespace {

ForwardOptions options_of(const TextRows& text) {
  ForwardOptions options;
  options.document_starts = text.starts;
  return options;
}

/// [n, d] or, for factors with biases, [n, d + 1]. @param x [..., d]
at::Tensor inputs_of(const BilinearFactors& mlp, const at::Tensor& x) {
  const auto rows = x.flatten(0, -2);
  return mlp.has_biases() ? at::cat({rows, at::ones({rows.size(0), 1}, rows.options())}, 1) : rows;
}

at::Tensor output_of(const BilinearFactors& mlp, const at::Tensor& x) {
  return mlp.hidden(inputs_of(mlp, x)).mm(mlp.down.t()).view(x.sizes());
}

/// Tokens whose targets count.
double count_of(const TextRows& text) { return text.targets.ge(0).sum().item<double>(); }

/// Mean loss of the model with these units in the place of its own.
double loss_with(Decoder& model, const OwnFactors& own, const LayerUnits& units, const TextRows& text) {
  const at::NoGradGuard no_grad;
  double sum = 0;
  text.each_part([&](const TextRows& part) {
    auto options = options_of(part);
    options.mlp_hook = [&](int64_t layer, const at::Tensor& x, const at::Tensor& output) {
      const auto found = units.find(layer);
      return found == units.end() ? output : output_of(found->second.in(own(layer)), x);
    };
    sum += model.loss_sum(part.tokens, part.targets, options).item<double>();
  });
  const double mean = sum / count_of(text);
  return std::isfinite(mean) ? mean : HUGE_VAL;  // of units that overflow: dearer than any
}

/// Runs a layer on a leaf and lets it take part in the gradient.
struct LayerPass {
  at::Tensor input, mlp_input, mlp_output, output;

  LayerPass(Decoder& model, int64_t layer, const at::Tensor& stream, const at::Tensor& starts)
      : input(stream.detach()) {
    input.requires_grad_(at::GradMode::is_enabled());
    const auto h = model.add_attention(layer, input, starts);
    mlp_input = model.mlp_input(layer, h);
    mlp_output = model.mlp_output(layer, mlp_input);
    output = h + model.mlp_change(layer, mlp_output);
  }
};

/// Adds Σ g·δ + ½ Σ (g·δ)² of each layer. The layers' insides are computed anew for their gradients.
void add_estimates(Decoder& model, const OwnFactors& own, const LayerUnits& units, const TextRows& part,
                   std::map<int64_t, double>& sums) {
  const int64_t layers = model.config().num_hidden_layers;
  std::vector<at::Tensor> streams;
  {
    const at::NoGradGuard no_grad;
    streams.push_back(model.embed(part.tokens));
    for (int64_t layer = 0; layer < layers; ++layer)
      streams.push_back(LayerPass(model, layer, streams.back(), part.starts).output);
  }
  const at::AutoGradMode gradients(true);
  auto last = streams.back().detach().requires_grad_();
  model.loss_of_stream(last, part.targets).backward();
  auto gradient = last.grad();
  for (int64_t layer = layers - 1; layer >= 0; --layer) {
    const LayerPass pass(model, layer, streams[static_cast<size_t>(layer)], part.starts);
    if (const auto found = units.find(layer); found != units.end()) {
      const at::NoGradGuard no_grad;
      const auto change = model.mlp_change(layer, output_of(found->second.in(own(layer)), pass.mlp_input)) -
                          model.mlp_change(layer, pass.mlp_output);
      const auto dots = (gradient * change).sum(-1).to(at::kDouble);
      sums[layer] += (dots + 0.5 * dots.square()).sum().item<double>();
    }
    pass.output.backward(gradient);
    gradient = pass.input.grad();
  }
}

}  // namespace

void TextRows::each_part(const std::function<void(const TextRows&)>& use) const {
  for (int64_t begin = 0; begin < windows(); begin += windows_at_once) {
    if (stop_requested()) throw Stopped{};
    const auto some = [&](const at::Tensor& all) {
      return all.defined() ? all.slice(0, begin, begin + windows_at_once) : all;
    };
    use({some(tokens), some(targets), some(starts), windows_at_once});
  }
}

LayerUnits fit_layers(Decoder& model, const OwnFactors& own, const std::vector<int64_t>& layers,
                      bool with_biases, const TextRows& text) {
  const at::NoGradGuard no_grad;
  std::map<int64_t, UnitSums> sums;
  const auto device = text.tokens.device();
  for (const int64_t layer : layers) sums.emplace(layer, UnitSums(model.config().intermediate_size, device));
  text.each_part([&](const TextRows& part) {
    const auto weights = part.targets.ge(0).flatten().to(at::kFloat);
    auto options = options_of(part);
    options.mlp_hook = [&](int64_t layer, const at::Tensor& x, const at::Tensor& output) {
      if (const auto found = sums.find(layer); found != sums.end()) {
        const auto mlp = own(layer);
        const auto rows = inputs_of(mlp, x);
        found->second.add(rows.mm(mlp.gate.t()), rows.mm(mlp.up.t()), weights, model.activation(layer));
      }
      return output;
    };
    model.final_states(part.tokens, options);
  });
  LayerUnits fitted;
  for (const auto& [layer, of_layer] : sums)
    fitted[layer] =
        fit_units(of_layer, with_biases, "layer " + std::to_string(layer) + "'s activations").units;
  return fitted;
}

ConversionCosts measure_layer_costs(Decoder& model, const OwnFactors& own, const LayerUnits& units,
                                    const TextRows& text) {
  const auto count = static_cast<int64_t>(units.size());
  const auto tokens = count_of(text);
  if (tokens == 0)
    throw Error(ExitCode::kBadInput, {"held-out text", "tokens to predict", "none", "Use a longer text."});
  Progress progress("costs of the layers", 2 * count + 1, "passes");
  ConversionCosts costs;
  costs.teacher_loss = loss_with(model, own, {}, text);
  if (!std::isfinite(costs.teacher_loss)) {
    throw Error(ExitCode::kBadInput, {"loss of the gated model on the held-out text", "a finite number",
                                      "infinity or NaN", "Are the model and its text the right ones?"});
  }
  std::map<int64_t, double> estimates;
  text.each_part([&](const TextRows& part) { add_estimates(model, own, units, part, estimates); });
  progress.advance(1);
  for (const auto& layer : units) {
    const double alone = loss_with(model, own, {layer}, text) - costs.teacher_loss;
    costs.layers.push_back({layer.first, alone, estimates.at(layer.first) / tokens, 0.0});
    progress.advance(1);
  }
  std::stable_sort(costs.layers.begin(), costs.layers.end(),
                   [](const auto& a, const auto& b) { return a.alone < b.alone; });
  LayerUnits together;
  for (auto& cost : costs.layers) {
    together[cost.layer] = units.at(cost.layer);
    cost.together = loss_with(model, own, together, text) - costs.teacher_loss;
    progress.advance(1);
  }
  return costs;
}

int64_t passes_for_costs(int64_t layers) { return 5 + 2 * layers; }

std::vector<int64_t> layers_within(const ConversionCosts& costs, double budget) {
  std::vector<int64_t> chosen;
  size_t most = 0;
  for (size_t i = 0; i < costs.layers.size(); ++i)
    if (costs.layers[i].together <= budget) most = i + 1;
  for (size_t i = 0; i < most; ++i) chosen.push_back(costs.layers[i].layer);
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace bilens
