#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bilens/records/record_file.h"
#include "bilens/records/sparsity_record.h"

namespace bilens {

/// What "rotate" finds of a layer: a sparse basis of the span of each direction's eigenvectors.
struct RotatedFactors {
  static constexpr const char* kMethod = "rotate";
  double share_converged = 0, mean_objective = 0, mean_start_objective = 0, mean_off_diagonal = 0;
  std::optional<int64_t> unchanged;
  at::Tensor vectors, rotation, values, objective, start_objective, iterations, converged, agreeing;
  at::Tensor diagonal_energy, full_energy, off_diagonal;
  Sparsity measure;

  static const RecordTable<RotatedFactors>& record();
  static const TensorTable<RotatedFactors>& tensors();
};

}  // namespace bilens
