// The kernels as compiled for each instruction set against those that this processor chooses.
#include "kernels/cpu_kernels.h"

#include <ATen/ATen.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "attention_call.h"
#include "bilens/nn/gated_product.h"
#include "catch.h"

namespace bilens {

extern const CpuKernels cpu_kernels_baseline;
#ifdef __x86_64__
extern const CpuKernels cpu_kernels_v3, cpu_kernels_v4;
#endif

}  // namespace bilens

namespace bilens::kernels_test {
namespace {

/// Those that this processor can run, with their names.
std::vector<std::pair<std::string, const CpuKernels*>> levels() {
  std::vector<std::pair<std::string, const CpuKernels*>> found = {{"baseline", &cpu_kernels_baseline}};
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
    found.emplace_back("v3", &cpu_kernels_v3);
  if (&cpu_kernels() == &cpu_kernels_v4) found.emplace_back("v4", &cpu_kernels_v4);
#endif
  return found;
}

at::Tensor values(at::IntArrayRef shape, uint64_t seed, at::ScalarType dtype = at::kFloat) {
  at::manual_seed(seed);
  return at::randn(shape, at::kDouble).to(dtype);
}

template <class T>
T* data(const at::Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}

using Results = std::vector<at::Tensor>;

/// f(gate) ⊙ up and its gradients, 5 rows of 37 numbers.
template <class T>
Results gated(const GatedKernels<T>& kernels, Gate gate, at::ScalarType dtype) {
  const auto g = values({5, 37}, 1, dtype), u = values({5, 37}, 2, dtype), grad = values({5, 37}, 3, dtype);
  const Results out = {at::empty_like(g), at::empty_like(g), at::empty_like(g), at::empty_like(g)};
  const Rows rows = {5, 37, 37, 37};
  kernels.forward({gate, 0.7}, data<T>(g), data<T>(u), data<T>(out[0]), rows);
  kernels.backward({gate, 0.7}, data<T>(grad), data<T>(g), data<T>(u), data<T>(out[1]), data<T>(out[2]),
                   data<T>(out[3]), rows);
  return out;
}

Results norm(const CpuKernels& kernels) {
  const auto x = values({5, 37}, 4), gain = values({37}, 5), grad = values({5, 37}, 6);
  const Results out = {at::empty_like(x), at::empty({5}), at::empty_like(x), at::zeros({37})};
  kernels.rms_norm(data<float>(x), data<float>(gain), 1e-5, data<float>(out[0]), data<float>(out[1]), 5, 37);
  kernels.rms_norm_backward(data<float>(grad), data<float>(x), data<float>(gain), data<float>(out[1]),
                            data<float>(out[2]), data<float>(out[3]), 5, 37);
  return out;
}

/// Products of a matrix, and losses with their gradient.
Results products(const CpuKernels& kernels) {
  const auto w = values({19, 37}, 7), x = values({37}, 8);
  const auto targets = at::tensor({3, -1, 36, 0, 17}, at::kLong);
  const Results out = {at::empty({19}), at::empty({5}), values({5, 37}, 9)};
  kernels.row_product(data<float>(w), data<float>(x), data<float>(out[0]), 19, 37);
  kernels.cross_entropy(data<float>(out[2]), data<int64_t>(targets), data<float>(out[1]), true, 5, 37);
  return out;
}

/// Two sequences of 21 tokens, four heads of 8 numbers that share two of keys and values.
Results attention(const CpuKernels& kernels, float soft_cap) {
  constexpr int64_t kBatch = 2, kTokens = 21, kHeads = 4, kShared = 2, kWidth = 8;
  const auto qkv = values({kBatch, kTokens, (kHeads + 2 * kShared) * kWidth}, 10);
  const auto grad = values({kBatch, kTokens, kHeads * kWidth}, 11),
             angles = values({kTokens, kWidth / 2}, 12);
  const auto cosine = angles.cos(), sine = angles.sin();
  auto call = packed_call({kHeads, kShared, kWidth}, kTokens);
  set_angles(call, {cosine, sine});
  call.soft_cap = soft_cap;
  const Results out = {at::empty_like(grad), at::empty({kBatch, kHeads, kTokens}), at::empty_like(qkv)};
  const int64_t k = kHeads * kWidth, v = k + kShared * kWidth;
  const auto *x = data<float>(qkv), *dy = data<float>(grad);
  auto *y = data<float>(out[0]), *logs = data<float>(out[1]), *dx = data<float>(out[2]);
  const auto scratch = at::empty({kernels.attention_scratch(call, true)});
  for (int64_t b = 0; b < kBatch; ++b) {
    for (int64_t head = 0; head < kShared; ++head) {
      kernels.attention(call, x, x + k, x + v, y, logs, b, head, data<float>(scratch));
      kernels.attention_backward(call, dy, x, x + k, x + v, y, logs, dx, dx + k, dx + v, b, head,
                                 data<float>(scratch));
    }
  }
  return out;
}

/// 100 eps of the largest number: sums of at most 40 products in another order, each of a few roundings.
void check_equal(const Results& found, const Results& expected, double eps) {
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    CAPTURE(i);
    const auto right = expected[i].to(at::kDouble);
    const double off = (found[i].to(at::kDouble) - right).abs().max().item<double>();
    CHECK(off <= 100 * eps * right.abs().max().item<double>());
  }
}

TEST_CASE("kernels compute the same, whatever instruction set they are compiled for") {
  const auto& chosen = cpu_kernels();
  for (const auto& [level, kernels] : levels()) {
    CAPTURE(level);
    for (const auto& [name, gate] : gate_names()) {
      CAPTURE(name);
      check_equal(gated(kernels->gated_float, gate, at::kFloat), gated(chosen.gated_float, gate, at::kFloat),
                  1.2e-7);
      check_equal(gated(kernels->gated_double, gate, at::kDouble),
                  gated(chosen.gated_double, gate, at::kDouble), 2.3e-16);
      // In float32, then rounded: numbers at the middle of two go either way.
      check_equal(gated(kernels->gated_bfloat16, gate, at::kBFloat16),
                  gated(chosen.gated_bfloat16, gate, at::kBFloat16), 7.9e-5);
    }
    check_equal(norm(*kernels), norm(chosen), 1.2e-7);
    check_equal(products(*kernels), products(chosen), 1.2e-7);
    for (const float soft_cap : {0.0f, 1.5f})  // by narrow heads, and by tiles
      check_equal(attention(*kernels, soft_cap), attention(chosen, soft_cap), 1.2e-7);
  }
}

}  // namespace
}  // namespace bilens::kernels_test
