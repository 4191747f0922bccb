#include "bilens/nn/bilinear_mlp.h"

#include <stdexcept>

namespace bilens {

BilinearMlpImpl::BilinearMlpImpl(const BilinearMlpOptions& o) : options(o) {
  if (!o.down_proj && o.d_hidden != o.d_model) {
    throw std::invalid_argument("BilinearMlp: without down_proj d_hidden must equal d_model");
  }
  const auto linear = [&](int64_t in, int64_t out) {
    return torch::nn::Linear(torch::nn::LinearOptions(in, out).bias(o.bias));
  };
  gate_proj = register_module("gate_proj", linear(o.d_model, o.d_hidden));
  up_proj = register_module("up_proj", linear(o.d_model, o.d_hidden));
  if (o.down_proj) down_proj = register_module("down_proj", linear(o.d_hidden, o.d_model));
}

at::Tensor BilinearMlpImpl::forward(const at::Tensor& x) {
  const auto hidden = gated_product(gate_proj(x), up_proj(x), options.gate);
  return down_proj ? down_proj(hidden) : hidden;
}

}  // namespace bilens
