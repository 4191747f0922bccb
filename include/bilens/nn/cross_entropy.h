#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

namespace bilens {

/// The matrix that makes logits of states, and what becomes of these: z = H x, or c tanh(z/c) with a cap.
struct OutputHead {
  OutputHead(at::Tensor matrix, double cap = 0) : weight(std::move(matrix)), soft_cap(cap) {}

  at::Tensor weight;  // H [vocabulary, d]
  double soft_cap;    // c; 0: none
};

/// Σ_i −log softmax(head(x_i))[target_i], a part of the rows after the other, so that the logits [n,
/// vocabulary] never stand whole in memory. The gradients are computed along with each part and kept in their
/// place.
/// @param x [n, d] float32, float64 or bfloat16
/// @param head its weight of the same dtype and device
/// @param targets int64 [n] on the same device, below 0: not counted
/// @return float32 scalar (float64 for float64)
/// @throws Error(kBadInput) for a target beyond the vocabulary
at::Tensor cross_entropy_sum(const at::Tensor& x, const OutputHead& head, const at::Tensor& targets);

/// The terms of that sum: float32 [n]; 0 where not counted. No gradients.
at::Tensor cross_entropies(const at::Tensor& x, const OutputHead& head, const at::Tensor& targets);

/// Bytes of a part's logits and of what is made of them. @param taught with a teacher's, as distillation_sum
int64_t loss_memory(int64_t rows, int64_t vocabulary, at::Device device, bool taught);

}  // namespace bilens
