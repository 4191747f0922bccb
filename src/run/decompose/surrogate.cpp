#include "surrogate.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/records/surrogate_units.h"
#include "bilens/study/gated_units.h"

namespace bilens {

namespace {

constexpr int64_t kMeasuredTokens = 10000;  // at most, of those that the fit does not see

at::Tensor plus(const at::Tensor& bias, const at::Tensor& more) {
  return bias.defined() ? bias + more : more;
}

/// The units in the place of the layer's own, in float64.
SourceLayer with_units(SourceLayer source, const SurrogateUnits& stored) {
  source.layer = source.layer.to(at::kDouble, at::kCPU);
  const auto number = [](const at::Tensor& tensor) { return tensor.to(at::kDouble); };
  const auto up_scale = number(stored.up_scale), up_gate = number(stored.up_gate);
  auto& layer = source.layer;
  source.unit_constants = number(stored.constant);
  auto up_bias = number(stored.up_shift);
  if (layer.up_bias.defined()) up_bias = up_bias + up_scale * layer.up_bias;
  if (layer.gate_bias.defined()) up_bias = up_bias + up_gate * layer.gate_bias;
  layer.up = layer.up * up_scale.unsqueeze(1) + layer.gate * up_gate.unsqueeze(1);
  layer.up_bias = up_bias;
  layer.gate_bias = plus(layer.gate_bias, number(stored.gate_shift));
  const auto& constants = source.unit_constants;
  layer.down_bias = plus(layer.down_bias, layer.down.defined() ? layer.down.mv(constants) : constants);
  return source;
}

SurrogateUnits as_stored(const BilinearUnits& units) {
  const auto stored = [](const at::Tensor& numbers) { return numbers.to(at::kCPU, at::kFloat); };
  return {stored(units.gate_shift), stored(units.up_scale), stored(units.up_gate), stored(units.up_shift),
          stored(units.constant)};
}

void require_length(const Corpus& corpus, int64_t first, int64_t tokens) {
  if (corpus.stream.size() >= first + tokens) return;
  throw Error(ExitCode::kBadInput, {corpus.data.path,
                                    "a text of " + std::to_string(first + tokens) + " tokens, the last " +
                                        std::to_string(tokens) + " to calibrate on",
                                    std::to_string(corpus.stream.size()) + " tokens",
                                    "Give a longer text, or lower corpus.tokens."});
}

}  // namespace

NamedTensors calibrate_surrogate(LayerSource& source, const CorpusStudyConfig& study,
                                 const DeviceChoice& device, const Corpus& corpus) {
  const int64_t tokens = study.tokens, first = std::max(tokens, study.loss_tokens);
  require_length(corpus, first, tokens);
  auto model = corpus.load(device);
  const auto part = [&](int64_t begin, int64_t count) {
    return TextWindows{corpus.stream, begin, count, corpus.data.context, corpus.data.packing};
  };
  const int64_t held_out = std::min(first, kMeasuredTokens);
  const auto fits = fit_gated_units(model, part(first, tokens));
  const auto worth = measure_gated_units(model, part(0, held_out), fits);
  std::vector<SurrogateLayer> layers;
  NamedTensors units;
  for (auto& lazy : source.layers) {
    if (!lazy.is_gated) continue;
    const int64_t number = lazy.number;
    const auto& fit = fits.at(static_cast<size_t>(number));
    const auto& r2 = worth.at(static_cast<size_t>(number));
    const auto stored = as_stored(fit.units);
    lazy.load = [load = lazy.load, stored] { return with_units(load(), stored); };
    const std::string prefix = "layer_" + std::to_string(number) + ".";
    for (auto& tensor : SurrogateUnits::tensors().write(stored, prefix, {}))
      units.push_back(std::move(tensor));
    layers.push_back({number, fit.line_r2, fit.degenerate.sum().item<int64_t>(), fit.r2, r2.units, r2.lines});
  }
  auto& record = source.surrogate.value();
  record.data = TextDataConfig::fields().dump(corpus.data);
  record.first_token = first;
  record.tokens = tokens;
  record.held_out_tokens = held_out;
  record.layers = layers;
  return units;
}

}  // namespace bilens
