#pragma once

#include <optional>

#include "bilens/records/record_table.h"

namespace bilens {

/// What is known of rounding in the tensor of all directions, where it is a difference of two layers.
struct TensorRounding {
  std::optional<bool> unchanged;
  std::optional<double> floor;

  static const RecordTable<TensorRounding>& record();
};

}  // namespace bilens
