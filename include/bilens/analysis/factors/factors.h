#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bilens/analysis/factors/cp.h"
#include "bilens/analysis/factors/hosvd.h"
#include "bilens/analysis/factors/joint.h"
#include "bilens/analysis/factors/rotation.h"
#include "bilens/analysis/factors/sparse_eigen.h"
#include "bilens/core/json.h"
#include "bilens/io/safetensors.h"

namespace bilens {

/// What the words of factors say where a difference is rounding alone.
inline constexpr const char* kNoChange = "no change";

/// What a method other than "eigen" finds of a layer, as it stands in its file (docs/formats.md): tensors by
/// name, figures for decomposition.json, and one line for people. Vectors have the run's dtype, other reals
/// are float64.
struct Factors {
  std::string method;
  NamedTensors tensors;
  Json figures;
  std::string words;
  double seconds = 0;

  /// @throws Error(kBadInput) when there is none of that name
  const at::Tensor& at(const std::string& name) const;
};

Factors to_factors(const Hosvd& output, const Hosvd& input, at::ScalarType dtype);
Factors to_factors(const std::vector<SparseEigenPairs>& path, at::ScalarType dtype);
Factors to_factors(const RotatedBasis& basis, at::ScalarType dtype);
Factors to_factors(const JointBasis& basis, at::ScalarType dtype);
Factors to_factors(const CpDecomposition& cp, at::ScalarType dtype);

}  // namespace bilens
