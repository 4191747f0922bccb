#pragma once

#include <ATen/core/Tensor.h>

namespace bilens {

/// A matrix A [p, q] that is multiplied again and again by few rows at a time, where a general product spends
/// as long on rearranging A as on multiplying. In float32 on the CPU, pack() keeps A in the layout of
/// oneDNN's kernels: measured with 64 rows, A 11264 × 2048 and 2 threads, 199 GFLOP/s both ways instead of
/// 121; twice the memory.
class PackedMatrix {
 public:
  /// A as it is.
  explicit PackedMatrix(at::Tensor a);

  /// Arranged for products with about `rows` rows where the library can do that, else as it is.
  static PackedMatrix pack(const at::Tensor& a, int64_t rows);

  /// XAᵀ: [r, q] → [r, p], of any strides.
  at::Tensor times_transposed(const at::Tensor& x) const;

  /// XA: [r, p] → [r, q], of any strides.
  at::Tensor times(const at::Tensor& x) const;

 private:
  at::Tensor a_;                   // undefined when packed
  at::Tensor forward_, backward_;  // A and Aᵀ in oneDNN's layout
};

}  // namespace bilens
