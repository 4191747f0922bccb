#include "bilens/analysis/forms/gram.h"

#include <ATen/ATen.h>

#include <vector>

#include "gram_tiles.h"

namespace bilens {

namespace {

constexpr int64_t kProjectedAtOnce = 1024;

/// 2G of a tile, [rows, columns].
at::Tensor twice_gram(const GramTile& tile) {
  const auto blocks = tile.products.view({2, tile.rows, 2, tile.columns});
  const auto block = [&](int64_t i, int64_t j) { return blocks.select(2, j).select(0, i); };
  return (block(0, 0) * block(1, 1)).addcmul_(block(0, 1), block(1, 0));  // WWᵀ⊙VVᵀ + WVᵀ⊙VWᵀ
}

/// Takes Y = S_a G_:j [n_a, c] for each tile j of b's hidden units, with S_j of b [n_b, c]. With `symmetric`
/// G stands for its upper half, so that Σ_j Y S_jᵀ and its transpose make S G Sᵀ.
void for_each_column(const InteractionOperator& a, const InteractionOperator& b, bool symmetric,
                     int64_t memory_limit,
                     const std::function<void(const at::Tensor& y, const at::Tensor& s)>& take) {
  at::Tensor y;
  for_each_tile(a, b, symmetric, memory_limit, [&](GramTile& tile) {
    if (tile.row == 0) y = at::zeros({a.count(), tile.columns}, tile.products.options());
    y.addmm_(scales_of(a, tile.row, tile.rows), twice_gram(tile), 1, 0.5 * tile.weight);
    if (tile.ends_column) take(y, scales_of(b, tile.column, tile.columns));
  });
}

at::Tensor products(const InteractionOperator& a, const InteractionOperator& b, bool symmetric,
                    int64_t memory_limit) {
  auto sum = at::zeros({a.count(), b.count()}, a.scales().options().dtype(at::kDouble));
  for_each_column(a, b, symmetric, memory_limit,
                  [&](const at::Tensor& y, const at::Tensor& s) { sum.addmm_(y, s.t()); });
  return sum;
}

}  // namespace

at::Tensor frobenius_products(const EigenProblem& a, const EigenProblem& b, int64_t memory_limit) {
  return products(checked_operator(a), checked_operator(b), false, memory_limit);
}

at::Tensor frobenius_products(const EigenProblem& problem, int64_t memory_limit) {
  const auto q = checked_operator(problem);
  const auto half = products(q, q, true, memory_limit);
  return half + half.t();
}

at::Tensor squared_frobenius(const EigenProblem& problem, int64_t memory_limit) {
  if (problem.count() > problem.layer.d_out()) {
    // More directions than outputs: u·(PGPᵀ)u, so that S is not needed.
    const auto outputs = frobenius_products({problem.layer, problem.embed, {}}, memory_limit);
    std::vector<at::Tensor> parts;
    for (const auto& stored : problem.directions.split(kProjectedAtOnce)) {
      const auto u = stored.to(outputs.options());
      parts.push_back((u.mm(outputs) * u).sum(1).clamp_min(0));
    }
    return at::cat(parts);
  }
  const auto q = checked_operator(problem);
  auto sum = at::zeros({q.count()}, q.scales().options().dtype(at::kDouble));
  for_each_column(q, q, true, memory_limit,
                  [&](const at::Tensor& y, const at::Tensor& s) { sum.add_((y * s).sum(1), 2); });
  return sum.clamp_min_(0);
}

}  // namespace bilens
