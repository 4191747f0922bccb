#pragma once

// What a small random Llama-type model reads, and one of its layers decomposed.

#include <map>

#include "bilens/analysis/eigen/eigen.h"
#include "bilens/analysis/forms/interaction.h"
#include "bilens/study/corpus_study.h"
#include "random_decoder.h"

namespace bilens::test {

constexpr int64_t kTokens = 300, kContext = 32;

inline TokenStream random_stream(uint64_t seed = 5) {
  const auto ids =
      at::randint(2, 19, {kTokens}, make_generator(at::kCPU, seed), at::TensorOptions().dtype(at::kLong));
  return {ids.to(at::kUInt16), {0, 40, 111}};
}

/// Layer 1, its gain folded in, half the gate where it is not bilinear, with its first k eigenpairs.
struct Decomposed {
  BilinearLayer layer;
  LayerDecomposition decomposition;
  at::Tensor gain;
};

inline Decomposed decompose(const Decoder& model, int64_t k, bool directed) {
  std::map<std::string, at::Tensor> weights;
  for (const auto& [name, parameter] : model.parameters()) weights[name] = parameter.detach();
  const auto of = [&](const std::string& name) { return weights.at("model.layers.1." + name); };
  const double half = model.config().hidden_act == Gate::kNone ? 1.0 : 0.5;
  Decomposed result;
  result.gain = of("post_attention_layernorm.weight");
  result.layer.gate = of("mlp.gate_proj.weight") * result.gain * half;
  result.layer.up = of("mlp.up_proj.weight") * result.gain;
  result.layer.down = of("mlp.down_proj.weight");
  const bool biased = model.config().mlp_bias;
  if (biased) {
    result.layer.gate_bias = of("mlp.gate_proj.bias") * half;
    result.layer.up_bias = of("mlp.up_proj.bias"), result.layer.down_bias = of("mlp.down_proj.bias");
  }
  auto& d = result.decomposition;
  d.layer = 1, d.d_in = 8, d.d_hidden = 12, d.d_out = 8;
  if (directed) d.directions = at::randn({3, 8}, make_generator(at::kCPU, 8), at::TensorOptions());
  EigenConfig eigen;
  eigen.k = k, eigen.dtype = at::kDouble;
  const auto u = directed ? d.directions.to(at::kDouble) : at::Tensor();
  d.pairs = solve_eigen({result.layer, {}, u}, at::kCPU, eigen);
  if (!biased) return result;
  const InteractionOperator form(result.layer.to(at::kDouble, at::kCPU), u, {});
  d.linear = form.linear(), d.constant = form.constant();
  return result;
}

inline TextWindows text_of(const TokenStream& stream) {
  return {stream, 0, kTokens, kContext, Packing::kPlain};
}

// The model is float32, of numbers up to some 10 behind a norm: 1e-5 of the outputs' size.
constexpr double kFloat32 = 2e-5;

}  // namespace bilens::test
