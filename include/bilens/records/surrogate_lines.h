#pragma once

#include "bilens/records/record_file.h"
#include "bilens/records/tensor_table.h"

namespace bilens {

/// surrogate.safetensors of a decomposition with calibrated surrogates: of one layer, the lines az + b that
/// stand for its units' activations.
struct SurrogateLines {
  static constexpr RecordFormat kFormat = {"bilens-surrogate", 1};
  static constexpr const char* kFile = "surrogate.safetensors";

  at::Tensor slope, offset;

  static const TensorTable<SurrogateLines>& tensors();
};

}  // namespace bilens
