#pragma once

#include <ATen/core/Tensor.h>

namespace bilens {

/// The orthogonal polar factor UVᵀ of M = UΣVᵀ [..., r, d], r ≤ d: the matrix of orthonormal rows nearest to
/// M, and the one that maximises ⟨·, M⟩.
at::Tensor polar(const at::Tensor& m);

}  // namespace bilens
