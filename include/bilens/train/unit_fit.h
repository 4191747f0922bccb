#pragma once

#include <ATen/core/Tensor.h>

#include "bilens/nn/gate.h"

namespace bilens {

/// Weighted sums over tokens that the line through a gate's nonlinearity follows from, one for each hidden
/// unit, float64 [h]: Σw, Σwz, Σwz², Σwf, Σwzf, Σwf² with f = f(z). Sums of parts of the data add up.
struct UnitSums {
  at::Tensor w, wz, wzz, wf, wzf, wff;

  UnitSums(int64_t units, at::Device device);

  /// Adds tokens. What the layer's output feels of an error in f(z) is that error times the other factor, so
  /// that one's square is the weight.
  /// @param gate, up [n, h]: z = Wx + b and Vx + c
  /// @param weights [n] of the tokens
  void add(const at::Tensor& gate, const at::Tensor& up, const at::Tensor& weights,
           const Activation& activation);
};

/// f(z) ≈ slope z + offset, one line a unit; float64 [h].
struct UnitFit {
  at::Tensor slope, offset;
  /// 1 where z does not vary or the weights are zero, so that the data determine no line: slope ½ and offset
  /// 0 stand there, the limit of zσ(βz) for β → 0 and the odd part of SiLU, GELU and ReLU at z = 0. uint8 [h]
  at::Tensor degenerate;
  double r2 =
      0.0;  // 1 − Σ w(f − slope z − offset)² / Σ w(f − f̄)², both summed over units; NaN where f is constant
};

/// The least-squares line of each unit; through the origin without `with_offset`.
UnitFit fit_units(const UnitSums& sums, bool with_offset);

}  // namespace bilens
