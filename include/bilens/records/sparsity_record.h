#pragma once

#include "bilens/records/tensor_table.h"

namespace bilens {

/// How few of its d entries a vector lives on; float64, of vectors [..., d]. A zero vector has 0 of each.
struct Sparsity {
  at::Tensor nonzeros;       // [...], entries that are not exactly zero
  at::Tensor participation;  // [...], (Σx²)²/Σx⁴: 1 for a unit vector, d for a constant one
  at::Tensor hoyer;  // [...], (√d − ‖x‖₁/‖x‖₂)/(√d − 1): 1 and 0 there (Hoyer, JMLR 5, 2004)

  static const TensorTable<Sparsity>& tensors();
};

}  // namespace bilens
