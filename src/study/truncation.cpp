#include "bilens/study/truncation.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/train/image_evaluation.h"

namespace bilens {

namespace {

constexpr int64_t kEvery = 64;

std::vector<int64_t> sampled_ks(int64_t most) {
  std::vector<int64_t> ks;
  for (int64_t k = 0; k < most; k += k < kEvery ? 1 : k / 8) ks.push_back(k);
  ks.push_back(most);
  return ks;
}

}  // namespace

TruncationCurve truncate(const LayerDecomposition& layer, const LayerOnImages& data,
                         const at::Tensor& labels) {
  TruncationCurve curve;
  curve.layer = layer.layer;
  curve.k = sampled_ks(layer.pairs.k());
  const int64_t n = layer.pairs.size(), images = data.inputs.size(0);
  // Partial sums of all classes, [K, N, n]; the contributions of one class at a time, [N, k].
  auto logits = at::empty({static_cast<int64_t>(curve.k.size()), images, n}, data.inputs.options());
  for (int64_t u = 0; u < n; ++u) {
    const auto sums = contributions(layer, u, data.inputs).cumsum(1);
    const auto linear = linear_part(layer, u, data.inputs);
    for (size_t i = 0; i < curve.k.size(); ++i) {
      const auto quadratic = curve.k[i] == 0 ? at::zeros_like(linear) : sums.select(1, curve.k[i] - 1);
      logits.select(0, static_cast<int64_t>(i)).select(1, u).copy_(quadratic + linear);
    }
  }
  for (size_t i = 0; i < curve.k.size(); ++i) {
    const auto result = evaluate_logits(logits[static_cast<int64_t>(i)], labels);
    curve.accuracy.push_back(result.accuracy);
    curve.loss.push_back(result.loss);
  }
  return curve;
}

std::optional<size_t> sufficient(const TruncationCurve& curve, double accuracy) {
  const auto found = std::find_if(curve.accuracy.begin(), curve.accuracy.end(),
                                  [&](double of_k) { return of_k >= accuracy - kMostLost; });
  if (found == curve.accuracy.end()) return std::nullopt;
  return static_cast<size_t>(found - curve.accuracy.begin());
}

Exactness measure_exactness(const LayerDecomposition& layer, const LayerOnImages& data) {
  auto rebuilt = at::empty_like(data.targets);
  for (int64_t u = 0; u < layer.pairs.size(); ++u) {
    rebuilt.select(1, u).copy_(contributions(layer, u, data.inputs).sum(1) +
                               linear_part(layer, u, data.inputs));
  }
  const auto error = rebuilt - data.targets;
  const double norm = data.targets.norm().item<double>();
  return {layer.layer, error.norm().item<double>() / (norm > 0 ? norm : 1.0),
          error.abs().max().item<double>()};
}

}  // namespace bilens
