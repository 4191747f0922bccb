#include "surrogate.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/study/activation_lines.h"

namespace bilens {

namespace {

/// a(Wx + b) + o in the place of each unit's activation, with the stored lines, in float64.
SourceLayer with_lines(SourceLayer source, const at::Tensor& slope, const at::Tensor& offset) {
  auto& layer = source.layer;
  layer = layer.to(at::kDouble, at::kCPU);
  const auto a = slope.to(at::kDouble), o = offset.to(at::kDouble);
  layer.gate = layer.gate * a.unsqueeze(1);
  layer.gate_bias = layer.gate_bias.defined() ? layer.gate_bias * a + o : o;
  return source;
}

}  // namespace

NamedTensors calibrate_surrogate(LayerSource& source, const DecomposeRunConfig& config,
                                 const Corpus& corpus) {
  const int64_t tokens = config.corpus.tokens, first = std::max(tokens, config.corpus.loss_tokens);
  if (corpus.stream.size() < first + tokens) {
    throw Error(ExitCode::kBadInput, {corpus.data.path,
                                      "a text of " + std::to_string(first + tokens) + " tokens, the last " +
                                          std::to_string(tokens) + " to calibrate on",
                                      std::to_string(corpus.stream.size()) + " tokens",
                                      "Give a longer text, or lower corpus.tokens."});
  }
  auto model = corpus.load(config.device);
  const auto fits =
      fit_activation_lines(model, {corpus.stream, first, tokens, corpus.data.context, corpus.data.packing});
  std::vector<SurrogateLayer> layers;
  NamedTensors lines;
  for (auto& lazy : source.layers) {
    const int64_t number = lazy.number;
    const auto& fit = fits.at(static_cast<size_t>(number));
    const auto slope = fit.slope.to(at::kCPU, at::kFloat), offset = fit.offset.to(at::kCPU, at::kFloat);
    lazy.load = [load = lazy.load, slope, offset] { return with_lines(load(), slope, offset); };
    const std::string prefix = "layer_" + std::to_string(number) + ".";
    lines.emplace_back(prefix + "slope", slope), lines.emplace_back(prefix + "offset", offset);
    layers.push_back({number, fit.r2, fit.degenerate.sum().item<int64_t>()});
  }
  auto& record = source.surrogate.value();
  record.data = TextDataConfig::fields().dump(corpus.data);
  record.first_token = first;
  record.tokens = tokens;
  record.layers = layers;
  return lines;
}

}  // namespace bilens
