#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace bilens {

/// The weights of one bilinear layer y = P((Wx + b) ⊙ (Vx + c)) + p, real tensors of one dtype on one device.
struct BilinearLayer {
  at::Tensor gate;                           // W [h, d]
  at::Tensor up;                             // V [h, d]
  at::Tensor down;                           // P [m, h]; undefined: the identity
  at::Tensor gate_bias, up_bias, down_bias;  // b [h], c [h], p [m]; undefined: zero
  bool residual = false;                     // y + x instead of y; no norm between

  // A difference alone has these, as its rounding is that of larger numbers than its own
  // (forms/difference.h); else they are empty.
  std::vector<BilinearLayer> parts = {};  // the layers that it is made of
  std::vector<int64_t> terms = {};  // hidden units of each of the terms it is written as, in their order

  int64_t d_in() const { return gate.size(1); }
  int64_t d_hidden() const { return gate.size(0); }
  int64_t d_out() const { return down.defined() ? down.size(0) : gate.size(0); }
  bool has_linear() const {
    return residual || gate_bias.defined() || up_bias.defined() || down_bias.defined();
  }

  BilinearLayer to(at::ScalarType dtype, at::Device device) const;
  BilinearLayer on(at::Device device) const;  // each tensor in its own dtype

  /// y for inputs x [..., d]; the slow, obvious reference.
  at::Tensor forward(const at::Tensor& x) const;
};

/// @throws Error(kBadInput) for shapes that do not fit together and for weights that are not finite
void check_layer(const BilinearLayer& layer, const std::string& name);

/// The layer seen through its input map E [d, d_input]: W → WE, V → VE. A residual does not survive this (its
/// term is u·Ex, which the caller adds).
BilinearLayer fold_input(const BilinearLayer& layer, const at::Tensor& embed);

/// The layer with gate unit k beside up unit π(k): the same matrices row by row, but who multiplies whom is
/// undone. A control. @param order π, int64 [h]
BilinearLayer permute_up(const BilinearLayer& layer, const at::Tensor& order);

}  // namespace bilens
