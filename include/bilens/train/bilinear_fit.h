#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace bilens {

/// A bilinear layer y = P [(Wx) ⊙ (Vx); 1], where the 1 is there when P has a column for it. Biases of W and
/// V are columns too: then x ends with a 1.
struct BilinearFactors {
  at::Tensor gate, up, down;  // [h, d], [h, d], [m, h] or [m, h + 1]

  bool has_biases() const { return down.size(1) > gate.size(0); }

  /// The hidden vector that P multiplies, [n, h] or [n, h + 1]. @param x [n, d]
  at::Tensor hidden(const at::Tensor& x) const;
};

/// Tokens to fit to: x [n, d], the output that is wanted [n, m], and the weight of each [n].
struct FitRows {
  at::Tensor inputs, targets, weights;
};

/// Goes over all tokens in parts; the same ones each time.
using FitData = std::function<void(const std::function<void(const FitRows&)>&)>;

/// Keeps the tokens in memory where they take no more than so many bytes. Goes over them once.
FitData keep_rows(const FitData& data, int64_t bytes);

enum class Side { kGate, kUp };

constexpr int64_t kKeptProducts = int64_t{256} << 20;  // bytes

/// How far one factor is fitted with the others held.
struct SideFitConfig {
  int64_t steps = 3;      // of conjugate gradients, one pass over the data each
  double damping = 1e-3;  // relative to the diagonal of the normal equations
};

/// Fits W (or V) with the other two factors held, a linear least-squares problem since y is linear in each:
///   min_A Σ w‖t − P [(Ax) ⊙ (Vx); 1]‖² + damping ‖A − A₀‖²_M,  M the diagonal of the normal equations,
/// by conjugate gradients on them from A₀ = the factor as it is. They are never formed ((h·d)² numbers): each
/// step is one pass over the data, in their dtype, for which Vx is held where that takes no more than
/// kKeptProducts. The preconditioner is the normal equations as if Vx and x were independent,
/// (PᵀP ⊙ Σ w(Vx)(Vx)ᵀ) ⊗ Σ w xxᵀ, from a quarter of the data. Few steps regularise as well.
/// @throws Stopped
at::Tensor fit_side(const FitData& data, const BilinearFactors& factors, Side side,
                    const SideFitConfig& config = {});

/// Floating-point operations that it takes a token, at most.
double fit_side_flops(const BilinearFactors& factors, const SideFitConfig& config = {});

}  // namespace bilens
