#pragma once

#include <ATen/core/Tensor.h>

#include "bilens/nn/gate.h"

namespace bilens {

/// Weights [d_hidden, d_model], [d_hidden, d_model], [d_model, d_hidden]; biases undefined, or all three.
struct GatedMlpWeights {
  at::Tensor gate, up, down;
  at::Tensor gate_bias, up_bias, down_bias;
};

/// y = P(f(Wx + b) ⊙ (Vx + c)) + p as one step: W and V as one product where they follow each other in memory
/// (packed_rows), and of what lies between only Wx + b and Vx + c are kept for the gradients.
/// @param x [..., d_model], of the weights' dtype and device
/// @return [..., d_model]
at::Tensor gated_mlp(const at::Tensor& x, const GatedMlpWeights& weights, const Activation& activation);

}  // namespace bilens
