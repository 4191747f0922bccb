#include "bilens/analysis/tokens/token_basis.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "bilens/analysis/eigen/factor_error.h"
#include "bilens/tensor/random.h"
#include "eigen/solver_limits.h"

namespace bilens {

namespace {

constexpr int64_t kDrawnAtOnce = 64;  // directions, with a random number for each token

/// Calls `visit(first, count)` for blocks of rows that together are all.
template <class Visit>
void for_each_block(int64_t rows, int64_t dimension, const Visit& visit) {
  const int64_t step = std::max<int64_t>(1, kTileBytes / (dimension * int64_t{sizeof(double)}));
  for (int64_t first = 0; first < rows; first += step) visit(first, std::min(step, rows - first));
}

}  // namespace

TokenBasis::TokenBasis(at::Tensor matrix, const at::Tensor& gain)
    : matrix_(std::move(matrix)), gain_(gain.defined() ? gain.to(at::kDouble) : gain) {
  mean_ = at::zeros({dimension()}, at::kDouble);
  for_each_block(size(), dimension(), [&](int64_t first, int64_t count) {
    mean_ += matrix_.narrow(0, first, count).to(at::kDouble).sum(0);
  });
  mean_ /= static_cast<double>(size());
  if (gain_.defined()) mean_ *= gain_;
  norms_ = at::empty({size()}, at::kDouble);
  for_each_block(size(), dimension(), [&](int64_t first, int64_t count) {
    norms_.narrow(0, first, count).copy_(block(first, count).norm(2, {1}));
  });
}

at::Tensor TokenBasis::block(int64_t first, int64_t count) const {
  auto rows = matrix_.narrow(0, first, count).to(at::kDouble);
  if (gain_.defined()) rows = rows * gain_;
  return rows - mean_;
}

double TokenBasis::rounding() const {
  // γ_(V+6)·max ‖γ⊙M_t‖: V sums and a division for the mean, then products with the gain and a difference.
  const double largest = norms_.max().item<double>() + mean_.norm().item<double>();
  return higham_gamma(static_cast<double>(size() + 6)) * largest;
}

at::Tensor TokenBasis::rows(const at::Tensor& ids) const {
  auto rows = matrix_.index_select(0, ids).to(at::kDouble);
  if (gain_.defined()) rows = rows * gain_;
  return rows - mean_;
}

at::Tensor TokenBasis::project(const at::Tensor& vectors) const {
  auto projections = at::empty({vectors.size(0), size()}, at::kDouble);
  for_each_block(size(), dimension(), [&](int64_t first, int64_t count) {
    projections.narrow(1, first, count).copy_(vectors.mm(block(first, count).t()));
  });
  return projections;
}

at::Tensor TokenBasis::mix(const at::Tensor& weights) const {
  auto sum = at::zeros({weights.size(0), dimension()}, at::kDouble);
  for_each_block(size(), dimension(), [&](int64_t first, int64_t count) {
    sum.addmm_(weights.narrow(1, first, count), block(first, count));
  });
  return sum;
}

at::Tensor random_token_directions(const TokenBasis& basis, int64_t count, uint64_t seed) {
  auto generator = make_generator(at::kCPU, seed);
  auto drawn = at::empty({count, basis.dimension()}, at::kDouble);
  for (auto& part : drawn.split(kDrawnAtOnce)) {
    const auto weights = at::randn({part.size(0), basis.size()}, generator, at::kDouble);
    part.copy_(basis.mix(weights));  // covariance Σ R_tR_tᵀ; the length goes
  }
  return drawn / drawn.norm(2, {1}, /*keepdim=*/true).clamp_min(std::numeric_limits<double>::min());
}

}  // namespace bilens
