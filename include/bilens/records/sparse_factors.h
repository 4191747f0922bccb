#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bilens/records/record_file.h"
#include "bilens/records/sparsity_record.h"

namespace bilens {

/// What "sparse_eigen" finds of a layer: vectors of few entries, along a path of p sparsities.
struct SparseFactors {
  static constexpr const char* kMethod = "sparse_eigen";
  std::vector<int64_t> sparsity;  // entries of a vector in each of the p steps of the path
  double share_converged = 0;
  std::optional<int64_t> unchanged;
  at::Tensor vectors, values, objective, iterations, converged;
  at::Tensor diagonal_energy, full_energy, off_diagonal;
  Sparsity measure;
  at::Tensor floor;

  static const RecordTable<SparseFactors>& record();
  static const TensorTable<SparseFactors>& tensors();
};

}  // namespace bilens
