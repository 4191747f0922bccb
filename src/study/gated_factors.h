#pragma once

#include <utility>
#include <vector>

#include "bilens/nn/decoder_layer.h"
#include "bilens/nn/linear.h"

namespace bilens {

/// Wx + b and Vx + c of a layer's MLP. @param x [n, hidden_size] behind the norm @return [n, d_hidden] each
inline std::pair<at::Tensor, at::Tensor> gated_factors(const DecoderLayer& layer, const at::Tensor& x) {
  const auto factor = [&](const at::Tensor& weight, const at::Tensor& bias) {
    return bilens::linear(x, {weight}, bias.defined() ? std::vector{bias} : std::vector<at::Tensor>{});
  };
  return {factor(layer.gate, layer.gate_bias), factor(layer.up, layer.up_bias)};
}

}  // namespace bilens
