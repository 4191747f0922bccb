#include "context_places.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace bilens {

namespace {
constexpr int64_t kBins = 24;
}  // namespace

ContextPlaces::ContextPlaces(int64_t vectors, const at::Tensor& sample, const CorpusStudyConfig& config)
    : sample_(sample), keep_(config.contexts) {
  const auto options = sample.options().dtype(at::kDouble);
  for (auto& end : ends_) {
    end.values = at::full({keep_, vectors}, 0.0, options);
    end.places = at::full({keep_, vectors}, -1, sample.options());
  }
  sampled_ = at::empty({sample.size(0), vectors}, options.dtype(at::kFloat));
}

void ContextPlaces::add(const at::Tensor& projections, int64_t first, const at::Tensor& rows) {
  const int64_t count = projections.size(0);
  for (int side = 0; side < 2 && keep_ > 0; ++side) {
    auto& [values, places] = ends_[side];
    const auto signed_values = side == 0 ? projections : -projections;
    const auto [high, found] = signed_values.topk(std::min(keep_, count), 0);
    const auto all = at::cat({values, high}), where = at::cat({places, found + first});
    const auto [best, chosen] = all.topk(keep_, 0);
    values = best, places = where.gather(0, chosen);
  }
  sampled_.narrow(0, seen_, rows.size(0)).copy_(projections.index_select(0, rows));
  seen_ += rows.size(0);
}

void ContextPlaces::finish(const std::vector<int64_t>& shape, CorpusLayer& result) const {
  const auto arrange = [&](const at::Tensor& rows) {  // [r, n * k] as [n, k, r]
    return rows.t().contiguous().view({shape[0], shape[1], -1}).cpu();
  };
  std::vector<at::Tensor> places, projections;
  for (int side = 0; side < 2; ++side) {
    const auto found = ends_[side].values > 0;
    places.push_back(arrange(at::where(found, ends_[side].places, -1)));
    projections.push_back(arrange(ends_[side].values * (side == 0 ? 1.0 : -1.0) * found));
  }
  result.context_places = at::stack(places, 2).to(at::kInt);
  result.context_projections = at::stack(projections, 2);
  const auto [sorted, order] = sampled_.to(at::kDouble).sort(0);
  const auto last = static_cast<double>(sorted.size(0) - 1);
  std::vector<int64_t> ranks;
  for (const double q : kCorpusQuantiles) ranks.push_back(std::llround(q * last));
  const auto at_ranks = at::tensor(ranks, sample_.options());
  result.quantile_projections = arrange(sorted.index_select(0, at_ranks));
  const auto quantiles = order.index_select(0, at_ranks);
  result.quantile_places =
      arrange(sample_.index_select(0, quantiles.flatten()).view_as(quantiles)).to(at::kInt);
  const auto low = sorted[0], range = sorted[-1] - low;
  const auto step = at::arange(kBins + 1, range.options()).unsqueeze(1) / static_cast<double>(kBins);
  result.edges = arrange(low + step * range);
  const auto bin = ((sorted - low) / at::where(range > 0, range, 1.0) * static_cast<double>(kBins)).floor();
  const auto ones = at::ones_like(sorted);
  result.counts = arrange(at::zeros({kBins, range.size(0)}, range.options())
                              .scatter_add_(0, bin.clamp(0, kBins - 1).to(at::kLong), ones))
                      .to(at::kInt);
}

}  // namespace bilens
