#pragma once

#include <optional>

#include "bilens/analysis/bilinear_layer.h"

namespace bilens {

struct EigenConfig {
  int64_t k = 10;  // clipped to the dimension
  at::ScalarType dtype = at::kFloat;
  std::optional<double> tolerance;  // of residuals; default 5e-6 in float32, 1e-10 in float64
  bool energy = true;
  int64_t memory_limit = int64_t{4} << 30;  // bytes for the matrices of one chunk of directions
};

/// Eigenpairs of Q_u for n directions, k each. Real tensors float64 but for the eigenvectors; all on the CPU.
struct EigenPairs {
  at::Tensor eigenvalues;   // [n, k], by falling |λ|, positive first on ties (within 50 eps‖Q‖)
  at::Tensor eigenvectors;  // [n, k, d], unit rows, largest component positive; the config's dtype
  at::Tensor
      residuals;  // [n, k], ‖Qv − λv‖ over the spectral norm, computed in float64 from the stored vectors
  at::Tensor trace;           // [n]
  at::Tensor frobenius;       // [n]; undefined without energy
  at::Tensor weight_energy;   // [n, k], cumulative Σλ²/‖Q‖²_F; undefined without energy
  at::Tensor vector_error;    // [n, k], residual over gap (Davis–Kahan), at most 1
  at::Tensor effective_rank;  // [n], (Σ|λ|)²/Σλ² over the whole spectrum
  at::Tensor converged;       // [n] uint8
  at::Tensor columns;         // [n] int32, operator columns used
  at::Tensor cluster;         // [n, k] int32
  at::Tensor tie_at_k;        // [n] uint8
  double seconds_form = 0, seconds_solve = 0, seconds_check = 0;

  int64_t size() const { return eigenvalues.size(0); }
  int64_t k() const { return eigenvalues.size(1); }
};

/// The dense method: forms every Q_u in chunks of directions, solves them by a batched symmetric eigensolver,
/// checks each result (residual, orthogonality) in float64, and solves again in float64, then on the CPU,
/// what fails.
///
/// With an input map E [d, d_input] the matrices are those over the input, EᵀQE, whose eigenvectors are not
/// the mapped ones of Q: by the thin QR decomposition Eᵀ = AR they are A times those of RQRᵀ, and zero on the
/// complement of A. Weights are scaled to one before, so that entries of 1e±30 neither overflow nor vanish.
///
/// @param layer    any float dtype
/// @param embed    E [d, d_input], or undefined
/// @param directions [n, m], or undefined for the identity
/// @throws Error(kBadInput) for weights that are not finite. Not converging is a status.
EigenPairs solve_dense(const BilinearLayer& layer, const at::Tensor& embed, const at::Tensor& directions,
                       at::Device device, const EigenConfig& config);

/// Bytes that one direction takes while it is solved and checked; `rank` is the size of the solved problem.
int64_t dense_bytes_per_direction(int64_t d_hidden, int64_t rank, int64_t d_in, int64_t k,
                                  at::ScalarType dtype);

}  // namespace bilens
