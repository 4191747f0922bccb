#pragma once

#include <ATen/core/Tensor.h>

#include "bilens/nn/gate.h"
#include "kernels/cpu_kernels.h"

namespace bilens {

/// y = f(gate) ⊙ up for matrices [n, h] whose rows have gaps, as the halves of a packed product have; gate
/// and up with equal strides.
void gated_rows(const Activation& activation, const at::Tensor& gate, const at::Tensor& up, at::Tensor& y);

/// ∂gate and ∂up, with equal strides, from ∂y [n, h] without gaps; where `product` is defined, [n, h] without
/// gaps, it takes f(gate) ⊙ up again.
void gated_rows_backward(const Activation& activation, const at::Tensor& grad, const at::Tensor& gate,
                         const at::Tensor& up, at::Tensor& grad_gate, at::Tensor& grad_up,
                         at::Tensor& product);

/// gated_rows of gate and up side by side, both [n, 2h].
void gated_halves(const Activation& activation, const at::Tensor& both, at::Tensor& y);

}  // namespace bilens
