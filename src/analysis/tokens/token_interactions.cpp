#include "bilens/analysis/tokens/token_interactions.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace bilens {

namespace {

constexpr int64_t kBlock = 1024;

/// The largest of all terms seen so far.
class Largest {
 public:
  explicit Largest(int64_t count) : count_(count) {}

  /// @param values [c] @param pairs [c, 2]
  void add(const at::Tensor& values, const at::Tensor& pairs) {
    values_ = values_.defined() ? at::cat({values_, values}) : values;
    pairs_ = pairs_.defined() ? at::cat({pairs_, pairs}) : pairs;
    const auto kept = std::get<1>(values_.abs().topk(std::min(count_, values_.numel())));
    values_ = values_.index_select(0, kept);
    pairs_ = pairs_.index_select(0, kept);
  }

  /// What a term has to exceed to be among them.
  double threshold() const {
    return values_.defined() && values_.numel() == count_ ? values_[-1].abs().item<double>() : 0.0;
  }

  const at::Tensor& values() const { return values_; }
  const at::Tensor& pairs() const { return pairs_; }

 private:
  int64_t count_;
  at::Tensor values_, pairs_;
};

/// Where the at most `count` largest sizes are that are above the threshold; below 0 stands what does not
/// count.
at::Tensor candidates(const at::Tensor& sizes, double threshold, int64_t count) {
  const auto above = (threshold > 0 ? sizes > threshold : sizes >= 0).nonzero().squeeze(1);
  const int64_t kept = std::min(count, above.numel());
  return above.take(std::get<1>(sizes.take(above).topk(kept)));
}

}  // namespace

TokenInteractions largest_interactions(const at::Tensor& projections, const at::Tensor& eigenvalues,
                                       const at::Tensor& norms, const InteractionError& error,
                                       int64_t count) {
  const int64_t tokens = projections.size(1);
  const auto roots = eigenvalues.abs().sqrt().unsqueeze(1);
  const auto lengths = (projections * roots).norm(2, {0});  // |R_iᵀQR_j| ≤ length_i length_j
  const auto [sorted, order] = lengths.sort(/*dim=*/0, /*descending=*/true);
  const auto a = projections.index_select(1, order);
  const auto scaled = (a * eigenvalues.unsqueeze(1)).t().contiguous();  // [V, k]
  Largest largest(std::min(count, tokens * (tokens + 1) / 2));
  for (int64_t i = 0; i < tokens; i += kBlock) {
    const int64_t rows = std::min(kBlock, tokens - i);
    const double longest = 2 * sorted[i].item<double>();
    for (int64_t j = i; j < tokens; j += kBlock) {
      // Lengths fall: nothing behind a block that cannot reach the threshold can.
      const double reach = longest * sorted[j].item<double>();
      if (reach < largest.threshold()) break;
      const int64_t columns = std::min(kBlock, tokens - j);
      auto block = scaled.narrow(0, i, rows).mm(a.narrow(1, j, columns)) * 2;
      if (i == j) block.diagonal().div_(2);
      auto sizes = block.abs();
      if (i == j) sizes.masked_fill_(at::ones_like(sizes, at::kBool).tril_(-1), -1);  // each pair once
      const auto best = candidates(sizes.flatten(), largest.threshold(), count);
      largest.add(block.flatten().index_select(0, best),
                  at::stack({best.div(columns, "floor") + i, best.remainder(columns) + j}, 1));
    }
  }
  TokenInteractions result;
  const auto pairs = std::get<0>(order.take(largest.pairs()).sort(1));
  const auto own = pairs.select(1, 0) == pairs.select(1, 1);
  const auto lengths_of_pairs = norms.take(pairs);
  const auto reach = lengths_of_pairs.prod(1) * error.form + lengths_of_pairs.sum(1) * error.row;
  result.tokens = pairs.to(at::kInt);
  result.values = largest.values();
  result.bounds = at::where(own, reach, 2 * reach);
  return result;
}

}  // namespace bilens
