#pragma once

#include "bilens/records/record_file.h"
#include "bilens/records/tensor_table.h"

namespace bilens {

/// surrogate.safetensors of a decomposition with calibrated surrogates: of one layer, the bilinear units
/// (z + β)(αy + γz + δ) + κ that stand for the products f(z)y. Version 1 had lines az + b for f(z).
struct SurrogateUnits {
  static constexpr RecordFormat kFormat = {"bilens-surrogate", 2};
  static constexpr const char* kFile = "surrogate.safetensors";

  at::Tensor gate_shift, up_scale, up_gate, up_shift, constant;

  static const TensorTable<SurrogateUnits>& tensors();
};

}  // namespace bilens
