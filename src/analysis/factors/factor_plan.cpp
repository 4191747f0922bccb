#include "bilens/analysis/factors/factor_plan.h"

#include <algorithm>

#include "bilens/analysis/forms/gram.h"
#include "bilens/core/text.h"

namespace bilens {

FactorCost plan_factors(const std::string& method, const EigenSizes& sizes, const EigenConfig& eigen) {
  const auto n = static_cast<double>(sizes.n), h = static_cast<double>(sizes.h),
             d = static_cast<double>(sizes.d);
  const int64_t wide = 8 * (2 * sizes.h * sizes.d + sizes.n * sizes.h), square = 8 * sizes.d * sizes.d;
  if (method == "hosvd") {
    const double operations = 12 * h * h * d + 2 * n * h * h + 2 * n * n * h + 4 * h * d * d;
    return {std::min(eigen.memory_limit, kTileMemory) + 16 * sizes.n * sizes.n + 3 * square, operations,
            format("%.3g TFLOP in float64", 1e-12 * operations)};
  }
  const int64_t bytes = method == "sparse_eigen" ? std::min(eigen.memory_limit, wide + 3 * sizes.n * square)
                                                 : 2 * wide + 4 * square;
  return {bytes, std::nullopt, "its time depends on how it converges"};
}

}  // namespace bilens
