#pragma once

#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include "bilens/nn/gated_product.h"

namespace bilens {

struct BilinearMlpOptions {
  int64_t d_model = 256;
  int64_t d_hidden = 256;
  bool bias = false;
  bool down_proj = true;  // false: the identity, and then d_hidden = d_model
  Gate gate = Gate::kNone;
};

/// The gated MLP y = P(f(Wx + b) ⊙ (Vx + c)) + p; with gate "none" f is the identity and the layer is
/// bilinear: a third-order tensor, whose eigenvectors can be read from the weights (arXiv 2406.03947,
/// equation 1). Parameters: gate_proj.weight W [d_hidden, d_model], up_proj.weight V [d_hidden, d_model],
/// down_proj.weight P [d_model, d_hidden], and with `bias` their .bias; float32, initialised as
/// torch::nn::Linear.
class BilinearMlpImpl : public torch::nn::Module {
 public:
  explicit BilinearMlpImpl(const BilinearMlpOptions& options);

  /// @param x [..., d_model]
  /// @return [..., d_model], same dtype and device
  at::Tensor forward(const at::Tensor& x);

  const BilinearMlpOptions options;
  torch::nn::Linear gate_proj{nullptr}, up_proj{nullptr}, down_proj{nullptr};
};
TORCH_MODULE(BilinearMlp);

}  // namespace bilens
