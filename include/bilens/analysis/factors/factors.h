#pragma once

#include <vector>

#include "bilens/analysis/factors/cp.h"
#include "bilens/analysis/factors/hosvd.h"
#include "bilens/analysis/factors/joint.h"
#include "bilens/analysis/factors/rotation.h"
#include "bilens/analysis/factors/sparse_eigen.h"
#include "bilens/records/factors.h"

namespace bilens {

/// What the words of factors say where a difference is rounding alone.
inline constexpr const char* kNoChange = "no change";

// What a method found as it stands in the layer's file, with one line for people.
// @param dtype of vectors

Factors to_factors(const Hosvd& output, const Hosvd& input, at::ScalarType dtype);
Factors to_factors(const std::vector<SparseEigenPairs>& path, at::ScalarType dtype);
Factors to_factors(const RotatedBasis& basis, at::ScalarType dtype);
Factors to_factors(const JointBasis& basis, at::ScalarType dtype);
Factors to_factors(const CpDecomposition& cp, at::ScalarType dtype);

}  // namespace bilens
