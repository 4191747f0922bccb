#pragma once

#include <optional>
#include <string>

#include "bilens/analysis/eigen/eigen_plan.h"

namespace bilens {

struct FactorCost {
  int64_t bytes;                     // beside the stored weights
  std::optional<double> operations;  // float64; nothing where it depends on how iterations converge
  std::string words;
};

/// Of a method without eigenpairs: W, V and P in float64, and what it makes of them.
FactorCost plan_factors(const std::string& method, const EigenSizes& sizes, const EigenConfig& eigen);

}  // namespace bilens
