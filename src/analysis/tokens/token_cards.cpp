#include "bilens/analysis/tokens/token_cards.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace bilens {

namespace {

constexpr int64_t kCardsAtOnce = 64;  // their cosines with all tokens stand in memory

at::Tensor cosines_of(const at::Tensor& projections, const at::Tensor& norms) {
  return at::where(norms > 0, projections / norms, at::zeros({}, at::kDouble));
}

}  // namespace

NearestTokens nearest_tokens(const at::Tensor& projections, const at::Tensor& norms, int64_t count) {
  const auto cosines = cosines_of(projections, norms);
  const int64_t m = std::min(count, cosines.size(1));
  const auto [most, at_most] = cosines.topk(m, 1);
  const auto [least, at_least] = cosines.topk(m, 1, /*largest=*/false);
  return {at::stack({at_most, at_least}, 1).to(at::kInt), at::stack({most, least}, 1)};
}

at::Tensor null_cosines(const TokenBasis& basis, const at::Tensor& directions, int64_t count) {
  std::vector<at::Tensor> sides;
  for (const auto& part : directions.split(kCardsAtOnce)) {
    const auto nearest = nearest_tokens(basis.project(part), basis.norms(), count).cosines;
    sides.push_back(nearest.select(1, 0));
    sides.push_back(-nearest.select(1, 1));
  }
  return std::get<0>(at::cat(sides).sort(0));
}

at::Tensor null_quantiles(const NearestTokens& nearest, const at::Tensor& null) {
  // One sorted row and one row of values for each rank j.
  const auto side = at::tensor({1.0, -1.0}, at::kDouble).unsqueeze(1);
  const auto values = (nearest.cosines * side).flatten(0, -2).t().contiguous();  // [m, ...]
  const auto below = at::searchsorted(null.t().contiguous(), values);
  return (below.to(at::kDouble) / static_cast<double>(null.size(0))).t().reshape(nearest.cosines.sizes());
}

}  // namespace bilens
