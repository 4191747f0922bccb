#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bilens/records/record_file.h"
#include "bilens/records/sparsity_record.h"
#include "bilens/records/tensor_rounding.h"

namespace bilens {

/// What "joint" finds of a layer: one orthonormal basis for all directions.
struct JointFactors : TensorRounding {
  static constexpr const char* kMethod = "joint";
  double objective = 0, squared_norm = 0, diagonal_energy_kept = 0, full_energy = 0, off_diagonal = 0;
  double gradient = 0;
  bool converged = false;
  at::Tensor vectors, values, diagonal_energy, history, start_objectives;
  Sparsity measure;

  static const RecordTable<JointFactors>& record();
  static const TensorTable<JointFactors>& tensors();
};

}  // namespace bilens
