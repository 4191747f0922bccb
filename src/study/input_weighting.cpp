#include "bilens/study/input_weighting.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <functional>

#include "bilens/core/stop.h"
#include "bilens/study/layer_on_images.h"
#include "bilens/study/weighted_fit.h"
#include "layer_forms.h"

namespace bilens {

namespace {

constexpr int64_t kImagesAtOnce = 4096;  // in float64, with the states behind all layers

/// A layer's inputs and outputs, some images at a time.
void each_part(const ImageClassifier& model, const ImageSplit& split, const LayerDecomposition& layer,
               const std::function<void(const LayerOnImages&)>& body) {
  for (int64_t first = 0; first < split.size(); first += kImagesAtOnce) {
    if (stop_requested()) throw Stopped{};
    const int64_t count = std::min(kImagesAtOnce, split.size() - first);
    body(layer_on_images(model, {split.images.narrow(0, first, count), split.labels.narrow(0, first, count)},
                         layer));
  }
}

/// What an MLP reads, as the form takes it. @param inverse 1 / gain, or undefined
at::Tensor form_inputs(const at::Tensor& x, const at::Tensor& inverse) {
  const auto wide = x.flatten(0, 1).to(at::kDouble);
  return inverse.defined() ? wide * inverse : wide;
}

/// Runs a model over text and calls `body` for each layer's MLP that is among these, by its place there.
void each_mlp(Decoder& model, const TextWindows& text, const std::string& name,
              const std::vector<GainedLayer>& layers,
              const std::function<void(size_t place, const at::Tensor& x, const at::Tensor& y)>& body) {
  const at::NoGradGuard no_grad;
  const auto device = model.parameters().front().second.device();
  text.each(name, [&](const TokenBatch& batch, ForwardOptions options) {
    options.mlp_hook = [&](int64_t layer, const at::Tensor& x, const at::Tensor& y) {
      for (size_t i = 0; i < layers.size(); ++i)
        if (layers[i].number == layer) body(i, x, y);
      return y;
    };
    model.final_states(batch.inputs.to(device), options);
  });
}

WeightedFactors& weighted_of(LayerDecomposition& layer) {
  return std::get<WeightedFactors>(layer.factors.value().found);
}

/// u·y of a layer's outputs in front of a norm behind it, with what rounding of it follows.
class Targets {
 public:
  Targets(const LayerDecomposition& layer, const MlpGains& gains, at::Device device) {
    if (layer.directions.defined()) directions_ = layer.directions.to(device, at::kDouble);
    if (gains.behind.defined()) gain_ = gains.behind.to(device, at::kDouble);
  }

  /// @param y [rows, d_out] @return [rows, n]
  at::Tensor values(const at::Tensor& y) const { return along(through_gain(y), directions_); }
  /// @return [n]
  at::Tensor size(const at::Tensor& y) const {
    const auto u = directions_.defined() ? directions_.abs() : directions_;
    return along(through_gain(y).abs(), u).square().sum(0);
  }

 private:
  at::Tensor through_gain(const at::Tensor& y) const { return gain_.defined() ? y * gain_ : y; }
  static at::Tensor along(const at::Tensor& y, const at::Tensor& u) { return u.defined() ? y.mm(u.t()) : y; }

  at::Tensor directions_, gain_;
};

}  // namespace

InputMoments moments_on_images(const ImageClassifier& model, const ImageSplit& split,
                               const LayerDecomposition& layer) {
  MomentSums sums;
  each_part(model, split, layer, [&](const LayerOnImages& part) { sums.add(part.inputs); });
  return sums.finish();
}

std::vector<InputMoments> moments_on_text(Decoder& model, const TextWindows& text,
                                          const std::vector<GainedLayer>& layers) {
  const auto device = model.parameters().front().second.device();
  std::vector<MomentSums> sums(layers.size());
  std::vector<at::Tensor> inverse;
  for (const auto& layer : layers) inverse.push_back(inverse_gain(layer.gains.before, device));
  each_mlp(model, text, "moments of inputs", layers, [&](size_t i, const at::Tensor& x, const at::Tensor&) {
    sums[i].add(form_inputs(x, inverse[i]));
  });
  std::vector<InputMoments> moments;
  for (const auto& of_layer : sums) moments.push_back(of_layer.finish());
  return moments;
}

void measure_on_images(const ImageClassifier& model, const ImageSplit& split, LayerDecomposition& layer) {
  auto& found = weighted_of(layer);
  WeightedFit fit(found, at::kCPU);
  each_part(model, split, layer,
            [&](const LayerOnImages& part) { fit.add(part.inputs, part.targets, part.size); });
  fit.finish(found, at::kDouble);
}

void measure_on_text(Decoder& model, const TextWindows& text, std::vector<LayerDecomposition>& layers,
                     const std::vector<GainedLayer>& gains) {
  const auto device = model.parameters().front().second.device();
  std::vector<WeightedFit> fits;
  std::vector<Targets> targets;
  std::vector<at::Tensor> inverse;
  for (size_t i = 0; i < layers.size(); ++i) {
    fits.emplace_back(weighted_of(layers[i]), device);
    targets.emplace_back(layers[i], gains[i].gains, device);
    inverse.push_back(inverse_gain(gains[i].gains.before, device));
  }
  each_mlp(model, text, "measure", gains, [&](size_t i, const at::Tensor& x, const at::Tensor& y) {
    const auto outputs = y.flatten(0, 1).to(at::kDouble);
    fits[i].add(form_inputs(x, inverse[i]), targets[i].values(outputs), targets[i].size(outputs));
  });
  for (size_t i = 0; i < layers.size(); ++i) fits[i].finish(weighted_of(layers[i]), at::kFloat);
}

}  // namespace bilens
