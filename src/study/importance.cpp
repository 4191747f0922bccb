#include "bilens/study/importance.h"

#include <ATen/ATen.h>

#include <cmath>

#include "bilens/tensor/r_squared.h"

namespace bilens {

namespace {
constexpr int64_t kMostWithExamples = 24;
}  // namespace

Importance measure_importance(const LayerDecomposition& layer, const LayerOnImages& data, int64_t examples) {
  const int64_t n = layer.pairs.size(), k = layer.pairs.k();
  const int64_t shown = std::min(k, kMostWithExamples), e = std::min(examples, data.inputs.size(0));
  const auto real = data.inputs.options();
  Importance result;
  result.layer = layer.layer;
  result.mean_contribution = at::empty({n, k}, real);
  result.std_contribution = at::empty({n, k}, real);
  result.data_r2 = at::empty({n, k}, real);
  result.linear_share = at::zeros({n}, real);
  result.positive_examples = at::empty({n, shown, e}, at::kLong);
  result.negative_examples = at::empty({n, shown, e}, at::kLong);
  result.positive_projections = at::empty({n, shown, e}, real);
  result.negative_projections = at::empty({n, shown, e}, real);
  for (int64_t u = 0; u < n; ++u) {
    const auto target = data.targets.select(1, u);
    const auto linear = linear_part(layer, u, data.inputs);
    const auto terms = contributions(layer, u, data.inputs);
    const auto error = (target - linear).unsqueeze(1) - terms.cumsum(1);
    result.mean_contribution[u].copy_(terms.mean(0));
    result.std_contribution[u].copy_(terms.std(0, /*unbiased=*/false));
    const auto spread = data.spread[u], size = data.size[u];
    result.data_r2[u].copy_(r_squared(error.square().sum(0), spread, size, at::kDouble));
    result.linear_share[u].copy_(
        at::where(varies(spread, size, at::kDouble), (linear - linear.mean()).square().sum() / spread, NAN));

    const auto vectors = layer.pairs.eigenvectors[u].narrow(0, 0, shown).to(at::kDouble);
    const auto projections = vectors.matmul(data.inputs.t());  // [shown, N]
    const auto [most, at_most] = projections.topk(e, 1);
    const auto [least, at_least] = projections.topk(e, 1, /*largest=*/false);
    result.positive_examples[u].copy_(at_most);
    result.negative_examples[u].copy_(at_least);
    result.positive_projections[u].copy_(most);
    result.negative_projections[u].copy_(least);
  }
  return result;
}

}  // namespace bilens
