#include "bilens/analysis/eigen/factor_error.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bilens {

namespace {
constexpr int64_t kColumnsAtOnce = 256;
}  // namespace

double higham_gamma(double n) {
  constexpr double kUnit = 0.5 * std::numeric_limits<double>::epsilon();  // unit roundoff u
  return 2 * n * kUnit / (1 - n * kUnit);
}

double factor_error(const at::Tensor& a, const at::Tensor& l) {
  const int64_t d = a.size(0);
  auto squares = at::zeros({}, a.options());
  for (int64_t begin = 0; begin < d; begin += kColumnsAtOnce) {
    const int64_t end = std::min(begin + kColumnsAtOnce, d), count = end - begin;
    // From the diagonal down; the rows of L that meet it end at the block.
    const auto rows = l.slice(0, begin, d).slice(1, 0, end);
    const auto rest =
        at::addmm(a.slice(0, begin, d).slice(1, begin, end), rows, rows.narrow(0, 0, count).t(), 1, -1)
            .square_();
    squares += rest.narrow(0, 0, count).sum() + 2 * rest.slice(0, count).sum();  // what is below counts twice
  }
  // The products round by γ_(d+1)(|A| + |L||Lᵀ|) at most, and ‖|L||Lᵀ|‖₂ ≤ ‖L‖²_F.
  const auto sizes = a.norm() + l.square().sum();
  const auto n = static_cast<double>(d);
  return (squares.sqrt() * (1 + higham_gamma(n * n)) + sizes * higham_gamma(n + 1)).item<double>();
}

}  // namespace bilens
