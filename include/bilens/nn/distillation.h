#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "bilens/nn/cross_entropy.h"

namespace bilens {

/// Weights of a loss that looks at the data and at a teacher.
struct DistillationWeights {
  double cross_entropy = 0.5;  // a
  double divergence = 0.5;     // b
  double temperature = 1.0;    // T
  double states = 0.0;         // of state_error_sum
};

/// Σ_i [a·(−log p_i(target_i)) + b·T²·KL(q_i ‖ p_i)], p = softmax(head(x)), and for the divergence (Hinton et
/// al., arXiv 1503.02531) both at temperature T, q the teacher's: a part of the rows after the other, so that
/// the logits [n, vocabulary] never stand whole in memory. The gradients are computed along with each part
/// and kept in their place; the teacher gets none.
/// @param x, teacher_x [n, d], [n, d'] float32, float64 or bfloat16
/// @param head, teacher_head of one vocabulary, each of its x's width, dtype and device
/// @param targets int64 [n] on the same device, below 0: the row is not counted
/// @return float32 scalar (float64 for float64)
at::Tensor distillation_sum(const at::Tensor& x, const OutputHead& head, const at::Tensor& teacher_x,
                            const OutputHead& teacher_head, const at::Tensor& targets,
                            const DistillationWeights& weights);

/// Σ_i mean_l ‖h_li − t_li‖² / ‖t_li‖² over tokens i and layers l: how far a model's hidden states are from
/// its teacher's (FitNets, arXiv 1412.6550, without its projections). Gradients of `states` alone.
/// @param states, taught one a layer, [..., d]
/// @return scalar, float64 of float64 states, else float32
at::Tensor state_error_sum(const std::vector<at::Tensor>& states, const std::vector<at::Tensor>& taught);

}  // namespace bilens
