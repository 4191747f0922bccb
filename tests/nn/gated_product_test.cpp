#include "bilens/nn/gated_product.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <stdexcept>

#include "bilens/core/version.h"
#include "bilens/tensor/cuda_library.h"
#include "catch.h"
#include "gpu.h"

namespace bilens::gated_product_test {
namespace {

/// The plain composition that the fused function stands for.
at::Tensor reference(const at::Tensor& gate, const at::Tensor& up, Gate activation) {
  switch (activation) {
    case Gate::kSilu: return at::silu(gate) * up;
    case Gate::kGelu: return at::gelu(gate) * up;
    case Gate::kGeluTanh: return at::gelu(gate, "tanh") * up;
    case Gate::kRelu: return at::relu(gate) * up;
    default: return gate * up;
  }
}

double largest_error(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

at::Tensor values(at::IntArrayRef shape, uint64_t seed, at::Device device = at::kCPU) {
  at::manual_seed(seed);
  return (at::randn(shape, at::kDouble) * 2).to(device);
}

struct Gradients {
  at::Tensor y, gate, up;
};

template <class Function>
Gradients differentiate(const Function& function, const at::Tensor& gate, const at::Tensor& up,
                        const at::Tensor& grad, Gate activation) {
  auto g = gate.detach().clone().requires_grad_(true), u = up.detach().clone().requires_grad_(true);
  const auto y = function(g, u, activation);
  (y * grad).sum().backward();
  return {y.detach(), g.grad(), u.grad()};
}

TEST_CASE("the gates by hand") {
  const auto g = at::tensor({-1.0, 0.0, 2.0}, at::kDouble), u = at::tensor({3.0, 5.0, 7.0}, at::kDouble);
  const auto check = [&](Gate gate, std::vector<double> f) {
    const auto expected = at::tensor(f, at::kDouble) * u;
    // A few operations on numbers below 16.
    CHECK(largest_error(gated_product(g, u, gate), expected) < 4 * 16 * 2.3e-16);
  };
  check(Gate::kNone, {-1.0, 0.0, 2.0});
  check(Gate::kRelu, {0.0, 0.0, 2.0});
  // z / (1 + exp(-z)) and z (1 + erf(z / sqrt 2)) / 2
  check(Gate::kSilu, {-0.2689414213699951, 0.0, 1.7615941559557649});
  check(Gate::kGelu, {-0.15865525393145707, 0.0, 1.9544997361036416});
  // z (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3))) / 2
  check(Gate::kGeluTanh, {-0.15880800939172324, 0.0, 1.954597694087775});
}

TEST_CASE("forward and backward equal the plain composition, for every gate, in both dtypes and odd sizes") {
  for (const auto& [name, activation] : gate_names()) {
    for (const auto& shape : std::vector<std::vector<int64_t>>{{1}, {7, 13}, {3, 5, 7}, {33, 1025}}) {
      for (const auto dtype : {at::kDouble, at::kFloat}) {
        CAPTURE(name, dtype);
        const auto gate = values(shape, 1), up = values(shape, 2), grad = values(shape, 3);
        const auto expected = differentiate(reference, gate, up, grad, activation);
        const auto found =
            differentiate(gated_product, gate.to(dtype), up.to(dtype), grad.to(dtype), activation);
        // At most ten roundings of products whose factors are below 10, 10 and 10.
        const double bound = 10 * 1000 * (dtype == at::kFloat ? 1.2e-7 : 2.3e-16);
        CHECK(found.y.scalar_type() == dtype);
        CHECK(largest_error(found.y, expected.y) < bound);
        CHECK(largest_error(found.gate, expected.gate) < bound);
        CHECK(largest_error(found.up, expected.up) < bound);
      }
    }
  }
}

TEST_CASE("gradients equal central differences") {
  const double h = 1e-5;
  for (const auto& [name, activation] : gate_names()) {
    CAPTURE(name);
    const auto gate = values({3, 4}, 4), up = values({3, 4}, 5), grad = values({3, 4}, 6);
    REQUIRE(gate.abs().min().item<double>() > 2 * h);  // relu has no derivative at 0
    const auto found = differentiate(gated_product, gate, up, grad, activation);
    const auto difference = [&](bool of_gate) {
      const auto step = [&](double s) {
        return reference(of_gate ? gate + s : gate, of_gate ? up : up + s, activation) * grad;
      };
      return (step(h) - step(-h)) / (2 * h);
    };
    // h^2 f'''/6 with factors below 10 * 10, and rounding eps * 100 / h: both below 1e-8.
    CHECK(largest_error(found.gate, difference(true)) < 1e-8);
    CHECK(largest_error(found.up, difference(false)) < 1e-8);
  }
}

TEST_CASE("tensors that do not lie in order give the same as their copies") {
  const auto gate = values({6, 9}, 7).t(), up = values({9, 12}, 8).slice(1, 0, 12, 2),
             grad = values({6, 9}, 9).t();
  REQUIRE_FALSE(gate.is_contiguous());
  REQUIRE_FALSE(up.is_contiguous());
  const auto expected = differentiate(reference, gate, up, grad, Gate::kSilu);
  const auto found = differentiate(gated_product, gate, up, grad, Gate::kSilu);
  CHECK(largest_error(found.y, expected.y) < 1e-13);  // 10 roundings of numbers below 40: 10 * 40 * 2.2e-16
  CHECK(largest_error(found.gate, expected.gate) < 1e-13);
  CHECK(largest_error(found.up, expected.up) < 1e-13);
}

TEST_CASE("a gradient for one side only, and none at all") {
  auto gate = values({4}, 1).requires_grad_(true);
  const auto up = values({4}, 2);
  gated_product(gate, up, Gate::kNone).sum().backward();
  CHECK(at::equal(gate.grad(), up));
  const at::NoGradGuard no_grad;
  CHECK_FALSE(gated_product(gate, up, Gate::kNone).requires_grad());
}

TEST_CASE("large inputs do not overflow where the product does not") {
  const auto z = at::tensor({-1000.0f, 1000.0f}), one = at::ones({2});
  for (const auto& [name, activation] : gate_names()) {
    CAPTURE(name);
    const auto found = differentiate(gated_product, z, one, one, activation);
    CHECK(at::isfinite(found.y).all().item<bool>());
    CHECK(at::isfinite(found.gate).all().item<bool>());
    CHECK(found.y[1].item<float>() == 1000.0f);
  }
}

TEST_CASE("tensors of different shape or dtype are refused") {
  const auto a = at::zeros({2, 3});
  CHECK_THROWS_AS(gated_product(a, at::zeros({3, 2}), Gate::kNone), std::invalid_argument);
  CHECK_THROWS_AS(gated_product(a, at::zeros({1, 3}), Gate::kNone),
                  std::invalid_argument);  // no broadcasting
  CHECK_THROWS_AS(gated_product(a, at::zeros({2, 3}, at::kDouble), Gate::kNone), std::invalid_argument);
  CHECK(gated_product(at::zeros({0, 3}), at::zeros({0, 3}), Gate::kSilu).sizes() == at::IntArrayRef({0, 3}));
}

TEST_CASE("what needs CUDA can be loaded where it was built, without a GPU too, and says where not") {
  if (build_info().cuda) {
    CHECK(cuda_symbol("bilens_gated_product_cuda") != nullptr);
  } else {
    CHECK_THROWS_WITH(cuda_symbol("bilens_gated_product_cuda"), ContainsSubstring("built without CUDA"));
  }
  CHECK_THROWS_AS(cuda_symbol("bilens_no_such_kernels"), std::runtime_error);
}

TEST_CASE("the GPU equals the CPU, forward and backward", "[gpu]") {
  if (!test::have_gpu()) return;
  for (const auto& [name, activation] : gate_names()) {
    for (const auto& shape : std::vector<std::vector<int64_t>>{{1}, {257, 1023}, {0, 4}}) {
      for (const auto dtype : {at::kDouble, at::kFloat}) {
        CAPTURE(name, dtype);
        const auto gate = values(shape, 1).to(dtype), up = values(shape, 2).to(dtype),
                   grad = values(shape, 3).to(dtype);
        const auto expected = differentiate(gated_product, gate, up, grad, activation);
        const auto found = differentiate(gated_product, gate.cuda(), up.cuda(), grad.cuda(), activation);
        if (gate.numel() == 0) continue;
        // The same formula with another exp and erf (at most 2 ulp) on products below 1000.
        const double bound = 10 * 1000 * (dtype == at::kFloat ? 1.2e-7 : 2.3e-16);
        CHECK(largest_error(found.y.cpu(), expected.y) < bound);
        CHECK(largest_error(found.gate.cpu(), expected.gate) < bound);
        CHECK(largest_error(found.up.cpu(), expected.up) < bound);
      }
    }
  }
}

}  // namespace
}  // namespace bilens::gated_product_test
