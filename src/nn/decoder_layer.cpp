#include "bilens/nn/decoder_layer.h"

namespace bilens {

std::vector<at::Tensor*> DecoderLayer::tensors() {
  std::vector<at::Tensor*> all;
  for (auto* list : {&qkv, &qkv_bias}) {
    for (auto& tensor : *list) all.push_back(&tensor);
  }
  for (auto* tensor : {&attention_norms.before, &attention_norms.behind, &mlp_norms.before, &mlp_norms.behind,
                       &o, &o_bias, &gate, &up, &down, &gate_bias, &up_bias, &down_bias, &q_norm, &k_norm}) {
    if (tensor->defined()) all.push_back(tensor);
  }
  return all;
}

}  // namespace bilens
