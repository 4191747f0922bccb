#pragma once

#include <ATen/core/Tensor.h>

#include "bilens/analysis/eigen/eigen.h"

namespace bilens {

// The Gram matrix of interaction. Interaction matrices of output directions u, v with s = Pᵀu, t = Pᵀv have
//   ⟨Q_u, Q_v⟩_F = sᵀGt,   G = ½[(WWᵀ)⊙(VVᵀ) + (WVᵀ)⊙(VWᵀ)]   [h, h],
// so norms and products of all of them follow from inner products of the hidden units, without any Q. With an
// input map E, W and V stand for WE and VE, which are not formed either: WE(VE)ᵀ = W(EEᵀ)Vᵀ.
//
// G is not held: it is made a tile of hidden units at a time, in float64 from weights of any dtype, and used
// up at once. Everything is computed where the weights are.

/// Bytes that tiles may take beside the weights, where nothing else is asked for. Less makes smaller tiles
/// (of at least 32 units, so 0 is allowed); more than some 100 MB is not used, since larger tiles are no
/// faster.
constexpr int64_t kTileMemory = int64_t{1} << 28;

/// ⟨Q_u, Q'_v⟩_F for all directions u of a and v of b, over one input space: S_a G S_bᵀ [n_a, n_b], float64.
/// 8 h_a h_b d operations and the products with S.
/// @throws Error(kBadInput) for input spaces of different sizes and for weights that are not finite; Stopped
at::Tensor frobenius_products(const EigenProblem& a, const EigenProblem& b,
                              int64_t memory_limit = kTileMemory);

/// ⟨Q_u, Q_v⟩_F for all directions u and v of one problem, S G Sᵀ, exactly symmetric [n, n]: G's symmetry
/// saves half, 4h²d operations.
at::Tensor frobenius_products(const EigenProblem& problem, int64_t memory_limit = kTileMemory);

/// Its diagonal alone, ‖Q_u‖²_F = sᵀGs ≥ 0 for every direction, [n] float64. 4h²d operations for all and
/// h²·min(n, m).
at::Tensor squared_frobenius(const EigenProblem& problem, int64_t memory_limit = kTileMemory);

}  // namespace bilens
