#pragma once

#include <ATen/core/Tensor.h>

namespace bilens {

/// Where targets t vary by more than rounding does: √Σ(t − t̄)² > 64 eps √Σm², m the magnitude that t is
/// rounded at: |t|, or Σ|a_i| where t is a sum Σa_i. Bool, of the shape of both.
/// @param spread Σ(t − t̄)², float64 @param size Σm², float64 @param dtype that t was computed in: its eps
at::Tensor varies(const at::Tensor& spread, const at::Tensor& size, at::ScalarType dtype);

/// R² = 1 − Σ(t − t̂)² / Σ(t − t̄)², NaN where t is constant up to rounding: nothing is to be explained there.
/// @param error Σ(t − t̂)², float64 @param spread, size, dtype as above
at::Tensor r_squared(const at::Tensor& error, const at::Tensor& spread, const at::Tensor& size,
                     at::ScalarType dtype);

}  // namespace bilens
