#include "surrogate.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/records/surrogate_lines.h"
#include "bilens/study/activation_lines.h"

namespace bilens {

namespace {

/// a(Wx + b) + o in the place of each unit's activation, with the stored lines, in float64.
SourceLayer with_lines(SourceLayer source, const SurrogateLines& lines) {
  auto& layer = source.layer;
  layer = layer.to(at::kDouble, at::kCPU);
  const auto a = lines.slope.to(at::kDouble), o = lines.offset.to(at::kDouble);
  layer.gate = layer.gate * a.unsqueeze(1);
  layer.gate_bias = layer.gate_bias.defined() ? layer.gate_bias * a + o : o;
  return source;
}

}  // namespace

NamedTensors calibrate_surrogate(LayerSource& source, const CorpusStudyConfig& study,
                                 const DeviceChoice& device, const Corpus& corpus) {
  const int64_t tokens = study.tokens, first = std::max(tokens, study.loss_tokens);
  if (corpus.stream.size() < first + tokens) {
    throw Error(ExitCode::kBadInput, {corpus.data.path,
                                      "a text of " + std::to_string(first + tokens) + " tokens, the last " +
                                          std::to_string(tokens) + " to calibrate on",
                                      std::to_string(corpus.stream.size()) + " tokens",
                                      "Give a longer text, or lower corpus.tokens."});
  }
  auto model = corpus.load(device);
  const auto fits =
      fit_activation_lines(model, {corpus.stream, first, tokens, corpus.data.context, corpus.data.packing});
  std::vector<SurrogateLayer> layers;
  NamedTensors lines;
  for (auto& lazy : source.layers) {
    const int64_t number = lazy.number;
    const auto& fit = fits.at(static_cast<size_t>(number));
    const SurrogateLines stored{fit.slope.to(at::kCPU, at::kFloat), fit.offset.to(at::kCPU, at::kFloat)};
    lazy.load = [load = lazy.load, stored] { return with_lines(load(), stored); };
    const std::string prefix = "layer_" + std::to_string(number) + ".";
    for (auto& line : SurrogateLines::tensors().write(stored, prefix, {})) lines.push_back(std::move(line));
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
