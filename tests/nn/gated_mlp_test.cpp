#include "bilens/nn/gated_mlp.h"

#include "bilens/nn/linear.h"
#include "catch.h"
#include "gradients.h"

namespace bilens::gated_mlp_test {
namespace {

constexpr double kEps = 1.2e-7;

at::Tensor gate_function(const at::Tensor& z, const Activation& activation) {
  switch (activation.kind) {
    case Gate::kSilu: return z * (z * activation.beta).sigmoid();
    case Gate::kGelu: return at::gelu(z);
    case Gate::kGeluTanh: return at::gelu(z, "tanh");
    case Gate::kRelu: return at::relu(z);
    default: return z;
  }
}

TEST_CASE("a gated MLP and its gradients are those of the composition in float64") {
  const int64_t d = 19, h = 37;
  const std::vector<Activation> activations = {Gate::kNone,        Gate::kSilu, {Gate::kSilu, 0.3},
                                               {Gate::kSilu, 0.0}, Gate::kGelu, Gate::kGeluTanh,
                                               Gate::kRelu};
  for (const auto& activation : activations) {
    for (const bool biased : {false, true}) {
      std::vector<at::Tensor> in = {normal({2, 11, d}, 1), normal({h, d}, 2), normal({h, d}, 3),
                                    normal({d, h}, 4)};
      if (biased) in.insert(in.end(), {normal({h}, 5), normal({h}, 6), normal({d}, 7)});
      const auto composed = [&](const std::vector<at::Tensor>& t) {
        auto gate = t[0].matmul(t[1].t()), up = t[0].matmul(t[2].t());
        if (biased) gate = gate + t[4], up = up + t[5];
        const auto y = (gate_function(gate, activation) * up).matmul(t[3].t());
        return biased ? y + t[6] : y;
      };
      const auto fused = [&](const std::vector<at::Tensor>& t) {
        GatedMlpWeights weights{t[1], t[2], t[3], {}, {}, {}};
        if (biased) weights.gate_bias = t[4], weights.up_bias = t[5], weights.down_bias = t[6];
        return gated_mlp(t[0], weights, activation);
      };
      CAPTURE(static_cast<int>(activation.kind), activation.beta, biased);
      const auto expected = value_and_gradients(composed, in, at::kDouble);
      // Sums of 19, 37 and 22 products in a row.
      CHECK(worst_relative(value_and_gradients(fused, in, at::kFloat), expected) < 80 * kEps);
      CHECK(worst_relative(value_and_gradients(fused, in, at::kDouble), expected) < 80 * 2.3e-16);
    }
  }
}

TEST_CASE("matrices that follow each other in memory give the same as ones that do not") {
  const auto x = normal({5, 8}, 1).to(at::kFloat);
  const auto packed = packed_rows({3, 6, 4}, 8, at::TensorOptions(at::kFloat));
  std::vector<at::Tensor> apart;
  for (size_t i = 0; i < packed.size(); ++i) {
    packed[i].copy_(normal(packed[i].sizes(), 2 + i));
    apart.push_back(packed[i].clone());
  }
  const auto y = linear(x, packed);
  CHECK(y.size(-1) == 13);
  CHECK((y - linear(x, apart)).abs().max().item<float>() < 20 * kEps);
  CHECK((y - x.mm(at::cat(apart).t())).abs().max().item<float>() < 20 * kEps);
}

}  // namespace
}  // namespace bilens::gated_mlp_test
