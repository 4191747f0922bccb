#include "bilens/nn/rms_norm.h"

#include "catch.h"
#include "gpu.h"
#include "gradients.h"

namespace bilens::rms_norm_test {
namespace {

constexpr double kEps = 1.2e-7;

at::Tensor composed(const std::vector<at::Tensor>& in) {
  return in[0] * (in[0].square().mean(-1, true) + 1e-5).rsqrt() * in[1];
}

at::Tensor fused(const std::vector<at::Tensor>& in) { return rms_norm(in[0], in[1], 1e-5); }

TEST_CASE("the norm by hand") {
  // mean(x²) = 12.5
  const auto y = rms_norm(at::tensor({3.0f, 4.0f}), at::tensor({1.0f, 2.0f}), 0.0);
  CHECK(y[0].item<float>() == Approx(3 / std::sqrt(12.5)).epsilon(4 * kEps));
  CHECK(y[1].item<float>() == Approx(8 / std::sqrt(12.5)).epsilon(4 * kEps));
}

TEST_CASE("the norm and its gradients are those of the composition in float64") {
  for (const auto& shape : std::vector<std::vector<int64_t>>{{1, 3}, {3, 7}, {2, 5, 64}, {300, 33}}) {
    const std::vector<at::Tensor> in = {normal(shape, 1), normal({shape.back()}, 2)};
    const auto expected = value_and_gradients(composed, in, at::kDouble);
    CAPTURE(shape);
    // The gain's gradient sums over all rows: the root of their number in roundings, at most 300 here.
    CHECK(worst_relative(value_and_gradients(fused, in, at::kFloat), expected) < 40 * kEps);
    CHECK(worst_relative(value_and_gradients(fused, in, at::kDouble), expected) < 40 * 2.3e-16);
  }
}

TEST_CASE("the norm and its gradients on a GPU are those on the CPU", "[gpu]") {
  if (!test::have_gpu()) return;
  for (const auto& shape : std::vector<std::vector<int64_t>>{{1, 3}, {2, 5, 64}, {300, 2048}}) {
    const std::vector<at::Tensor> in = {normal(shape, 1), normal({shape.back()}, 2)};
    const auto expected = value_and_gradients(composed, in, at::kDouble);
    CAPTURE(shape);
    CHECK(worst_relative(value_and_gradients(fused, in, at::kFloat, at::kCUDA), expected) < 40 * kEps);
    CHECK(worst_relative(value_and_gradients(fused, in, at::kDouble, at::kCUDA), expected) < 40 * 2.3e-16);
    CHECK(worst_relative(value_and_gradients(fused, in, at::kBFloat16, at::kCUDA), expected) < 4 * 0x1p-8);
  }
}

}  // namespace
}  // namespace bilens::rms_norm_test
