#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bilens/records/record_file.h"
#include "bilens/records/tensor_rounding.h"
#include "bilens/records/tensor_table.h"

namespace bilens {

/// One mode of a higher-order singular value decomposition.
struct HosvdMode {
  int64_t kept = 0, resolved = 0;
  double energy_kept = 0, discarded = 0, floor = 0;
  at::Tensor vectors, singular_values, energy;

  static const RecordTable<HosvdMode>& record();
  /// @param size the name of the mode's dimension
  static TensorTable<HosvdMode> tensors(const std::string& count, const std::string& size);
};

/// What a higher-order singular value decomposition finds of a layer: factors of its outputs and of its
/// inputs.
struct HosvdFactors : TensorRounding {
  static constexpr const char* kMethod = "hosvd";
  double squared_norm = 0;
  HosvdMode output, input;

  static const RecordTable<HosvdFactors>& record();
  static const TensorTable<HosvdFactors>& tensors();
};

}  // namespace bilens
