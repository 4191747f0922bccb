#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

#include "bilens/nn/gate.h"

namespace bilens {

/// y = f(gate) ⊙ up in one pass, and one pass back: ∂gate = ∂y ⊙ up ⊙ f'(gate), ∂up = ∂y ⊙ f(gate). Saves
/// only its inputs.
/// @param gate, up float32, float64 or bfloat16 (computed in float32, rounded once), equal shapes, on the
/// same device
/// @throws std::invalid_argument when they differ
at::Tensor gated_product(const at::Tensor& gate, const at::Tensor& up, const Activation& activation);

/// The pass back alone: ∂gate and ∂up, from ∂y and what gated_product was given. Has no gradients of its own.
std::pair<at::Tensor, at::Tensor> gated_product_backward(const at::Tensor& grad, const at::Tensor& gate,
                                                         const at::Tensor& up, const Activation& activation);

}  // namespace bilens
