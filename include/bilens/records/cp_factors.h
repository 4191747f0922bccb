#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bilens/records/record_file.h"
#include "bilens/records/sparsity_record.h"
#include "bilens/records/tensor_rounding.h"

namespace bilens {

/// What "cp" finds of a layer: terms shared by all directions.
struct CpFactors : TensorRounding {
  static constexpr const char* kMethod = "cp";
  double objective = 0, squared_norm = 0, energy = 0, full_energy = 0, off_diagonal = 0, condition = 0;
  double cancellation = 0, gradient = 0;
  std::string status;
  bool converged = false;
  std::optional<double> refit_residual;
  at::Tensor left, right, outputs, diagonal_energy, history, start_errors;
  Sparsity left_measure, right_measure, output_measure;

  static const RecordTable<CpFactors>& record();
  static const TensorTable<CpFactors>& tensors();
};

}  // namespace bilens
