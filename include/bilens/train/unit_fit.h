#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "bilens/train/bilinear_units.h"
#include "bilens/train/unit_sums.h"

namespace bilens {

/// What stands for the products t = f(z)y of a gated layer's units, by least squares over tokens. All
/// tensors are float64 [h] on the CPU.
struct UnitFit {
  BilinearUnits units;
  /// The line az + b nearest to f(z) where an error counts by y²: (az + b)y is what stood for t before.
  at::Tensor slope, offset;
  /// 1 where z does not vary or y is 0, so that the data determine no product: half the identity stands
  /// there, ½zy, the limit of zσ(βz) for β → 0 and the odd part of SiLU, GELU and ReLU. uint8 [h]
  at::Tensor degenerate;
  double r2 = 0.0;  // 1 − Σ w(t − t̂)² / Σ w(t − t̄)², both summed over units; NaN where no t varies
  double line_r2 = 0.0;  // 1 − Σ wy²(f − az − b)² / Σ wy²(f − f̄)²; NaN where no f varies
};

/// Least squares of t by zy, y, z², z and 1 for each unit. That is any bilinear unit with both biases and a
/// constant (BilinearUnits), as long as |β| ≤ 8√(mean of z²): where the best one has a larger β, being nearly
/// a parabola and no product, the best one at that bound stands. Without biases by zy and z² alone.
/// @param where names the activations in messages
/// @throws Error(kBadInput) for sums that are not finite
UnitFit fit_units(const UnitSums& sums, bool with_biases, const std::string& where);

}  // namespace bilens
