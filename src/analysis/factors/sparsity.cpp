#include "bilens/analysis/factors/sparsity.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace bilens {

Sparsity measure_sparsity(const at::Tensor& vectors) {
  const auto x = vectors.to(at::kDouble);
  const auto largest = x.abs().amax(-1, true);
  const auto unit = x / at::where(largest > 0, largest, at::ones_like(largest));  // squares do not overflow
  const auto squares = unit.square().sum(-1);
  const auto nonzero = squares > 0;
  const auto safe = at::where(nonzero, squares, at::ones_like(squares));
  const double root = std::sqrt(static_cast<double>(x.size(-1)));
  const auto hoyer = (root - unit.abs().sum(-1) / safe.sqrt()) / std::max(root - 1, 1e-300);
  const auto zero = at::zeros_like(squares);
  return {x.ne(0).sum(-1).to(at::kDouble), squares.square() / at::where(nonzero, unit.pow(4).sum(-1), safe),
          at::where(nonzero, x.size(-1) > 1 ? hoyer.clamp(0, 1) : at::ones_like(hoyer), zero)};
}

}  // namespace bilens
