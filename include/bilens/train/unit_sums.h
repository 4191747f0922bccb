#pragma once

#include <ATen/core/Tensor.h>

#include "bilens/nn/gate.h"

namespace bilens {

/// Weighted sums over tokens that fits to the products t = f(z)y of hidden units follow from: for each unit
/// the Gram matrix of the features zy, y, z², z, 1 and of t. z and y are taken less a centre and over a
/// scale, both of the first tokens, so that no digits are lost where they are far from 0.
struct UnitSums {
  enum Feature : int64_t { kProduct, kUp, kSquare, kGate, kOne, kTarget, kFeatures };

  at::Tensor centre, scale;  // float64 [2, h] of z and y; undefined before there are tokens
  at::Tensor grams;          // float64 [kFeatures, kFeatures, h]

  UnitSums(int64_t units, at::Device device);

  /// Adds tokens. Memory: some 150 bytes × 256 × h.
  /// @param gate, up [n, h]: z = Wx + b and y = Vx + c
  /// @param weights [n] of the tokens
  void add(const at::Tensor& gate, const at::Tensor& up, const at::Tensor& weights,
           const Activation& activation);

 private:
  void add_part(const at::Tensor& z, const at::Tensor& y, const at::Tensor& weights,
                const Activation& activation);
};

}  // namespace bilens
