#include "bilens/model/widen.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <stdexcept>

#include "bilens/tensor/random.h"

namespace bilens {

Decoder widen(const Decoder& model, int64_t units, uint64_t seed) {
  const at::NoGradGuard no_grad;
  auto config = model.config();
  const int64_t old = config.intermediate_size;
  if (units < old) throw std::invalid_argument("widen: fewer hidden units than there are");
  config.intermediate_size = units;
  const std::map<std::string, at::Tensor> source(model.parameters().begin(), model.parameters().end());
  auto weights = Decoder::allocate(config, source.begin()->second.device(),
                                   [&](const std::string& name) { return source.at(name).scalar_type(); });
  for (auto& [name, weight] : weights) {
    const auto& from = source.at(name);
    if (!is_mlp_weight(name)) {
      weight = from;
      continue;
    }
    weight.zero_();
    if (from.dim() == 2 && from.size(0) < weight.size(0)) {  // of gate_proj and up_proj
      const double spread = from.to(at::kFloat).std().item<double>();
      auto added = weight.narrow(0, old, units - old);
      added.copy_(at::empty(added.sizes(), at::kFloat)
                      .normal_(0, spread, make_generator(at::kCPU, derive_seed(seed, name))));
    }
    auto kept = weight.narrow(0, 0, from.size(0));
    (from.dim() == 2 ? kept.narrow(1, 0, from.size(1)) : kept).copy_(from);
  }
  return {config, std::move(weights)};
}

}  // namespace bilens
