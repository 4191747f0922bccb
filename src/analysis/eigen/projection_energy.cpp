#include "bilens/analysis/eigen/projection_energy.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

namespace bilens {

namespace {

/// L⁻¹Y for M = LLᵀ [n, k, k] and Y [n, k, c]: forward substitution along a Cholesky decomposition of a
/// semidefinite matrix. A row that depends on the rows before it gets a zero row.
at::Tensor solve_lower(const at::Tensor& m, const at::Tensor& y) {
  const int64_t k = m.size(1);
  // Below this, a pivot is what rounding left of zero.
  const double smallest = 100.0 * static_cast<double>(k) * std::numeric_limits<double>::epsilon();
  auto l = at::zeros_like(m), z = at::zeros_like(y);
  for (int64_t j = 0; j < k; ++j) {
    const auto row = l.select(1, j).narrow(1, 0, j).unsqueeze(1);  // [n, 1, j]
    const auto column = m.select(2, j) - row.matmul(l.narrow(2, 0, j).mT()).squeeze(1);
    const auto rest = y.select(1, j) - row.matmul(z.narrow(1, 0, j)).squeeze(1);
    const auto pivot = column.select(1, j).unsqueeze(1);
    const auto independent = pivot > smallest * m.select(1, j).select(1, j).unsqueeze(1);
    const auto root = at::where(independent, pivot, at::ones_like(pivot)).sqrt();
    l.select(2, j).copy_(at::where(independent, column / root, at::zeros_like(column)));
    z.select(1, j).copy_(at::where(independent, rest / root, at::zeros_like(rest)));
  }
  return z;
}

at::Tensor share(const at::Tensor& part, const at::Tensor& whole) {
  return at::where(whole > 0, part / whole, at::ones_like(part));
}

}  // namespace

at::Tensor projected_energy(const at::Tensor& gram, const at::Tensor& products) {
  return solve_lower(gram, products).square().sum(2).cumsum(1);
}

ProjectionEnergy projection_energy(const at::Tensor& cores, const at::Tensor& grams,
                                   const at::Tensor& total) {
  const auto diagonal = projected_energy(grams.square(), cores.diagonal(0, 1, 2).unsqueeze(2));
  // X̂ = L⁻¹X is orthonormal, and X̂QX̂ᵀ = L⁻¹(XQXᵀ)L⁻ᵀ; leading blocks belong to the first vectors.
  const auto orthonormal = solve_lower(grams, solve_lower(grams, cores).mT());
  const auto full = orthonormal.square().cumsum(1).cumsum(2).diagonal(0, 1, 2);
  const auto whole = total.unsqueeze(1);
  const auto last_diagonal = diagonal.select(1, -1), last_full = full.select(1, -1);
  return {total, share(diagonal, whole), share(full, whole),
          1 - share(last_diagonal, last_full).clamp_max(1)};
}

double energy_share(double numerator, double denominator) {
  return denominator > 0 ? numerator / denominator : 1.0;
}

}  // namespace bilens
