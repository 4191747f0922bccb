#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace bilens {

/// Symmetric operators Q_0 … Q_{n−1} of one dimension r, each applied to a vector of its own:
/// (x [a, r], which [a] int64) → Q_which x [a, r], in x's dtype on x's device.
using SymmetricOperators = std::function<at::Tensor(const at::Tensor& x, const at::Tensor& which)>;

struct LanczosConfig {
  int64_t wanted = 10;     // eigenpairs of largest |λ|
  int64_t guards = 2;      // further ones, roughly, so that none of the wanted is one of the unwanted
  double tolerance = 0.0;  // of a residual over |θ₁|; 0: runs to the last column
  int64_t basis = 192;     // vectors a direction that are held; then a thick restart
  int64_t columns = 1000;  // operator columns a direction, at most
};

/// Ritz pairs by falling |θ|, m = wanted + guards of them, or as many as there are dimensions.
struct RitzPairs {
  at::Tensor values;     // [n, m] float64, CPU
  at::Tensor vectors;    // [n, m, r], orthonormal to the dtype's precision
  at::Tensor columns;    // [n] int32, CPU: operator columns used
  at::Tensor converged;  // [n] uint8, CPU
};

/// Lanczos for all operators in lockstep, so that each step is one shared product: full reorthogonalisation,
/// thick restart (Wu and Simon 2000), convergence of each on its own, finished ones leaving the batch. An
/// exhausted Krylov space goes on with a fresh random vector, so multiplicities and null spaces come out as
/// far as columns are spent on them; a probe of the deflated operator shows what is missing.
///
/// Memory: n·(l + basis + 1)·r numbers, and the operator's own.
///
/// @param start  [r], any vector; all operators share it, so that results depend neither on order nor on
///               chunking. Or one for each, [n, r]
/// @param locked [n, l, r] orthonormal vectors that are deflated: the operators are (I − XXᵀ)Q(I − XXᵀ); or
///               undefined
RitzPairs lanczos(const SymmetricOperators& q, int64_t n, const at::Tensor& start, const at::Tensor& locked,
                  const LanczosConfig& config);

/// How many Lanczos columns find an eigenvalue of size (1 + excess)λ or more, of either sign, with a
/// probability of at least 1 − `missed`. It is found where a Ritz value is beyond λ in size; the start is
/// random. In exact arithmetic j columns miss it with a probability of at most
/// 1.648 √r exp(−(2j − 1) √(η / (2 + 2η))), η being the excess (Kuczyński and Woźniakowski 1992).
/// @return at most r
int64_t columns_to_see(int64_t r, double excess, double missed);

}  // namespace bilens
