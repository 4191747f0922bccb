#include "bilens/nn/bilinear_mlp.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <set>
#include <stdexcept>

#include "catch.h"

namespace bilens::bilinear_mlp_test {
namespace {

at::Tensor matrix(std::vector<float> numbers, int64_t columns) {
  return at::tensor(numbers).reshape({-1, columns});
}

void set(torch::nn::Linear& layer, const at::Tensor& weight, const at::Tensor& bias = {}) {
  const at::NoGradGuard no_grad;
  layer->weight.copy_(weight);
  if (bias.defined()) layer->bias.copy_(bias);
}

std::set<std::string> names(const BilinearMlp& mlp) {
  std::set<std::string> names;
  for (const auto& item : mlp->named_parameters()) names.insert(item.key());
  return names;
}

TEST_CASE("2x2 weights by hand") {
  BilinearMlp mlp(BilinearMlpOptions{2, 2, false, false, Gate::kNone});
  set(mlp->gate_proj, matrix({1, 2, 3, 4}, 2));
  set(mlp->up_proj, matrix({0, 1, 1, 0}, 2));
  // x = (1, 2): Wx = (5, 11), Vx = (2, 1); x = (-1, 1): Wx = (1, 1), Vx = (1, -1). Small integers are exact.
  const auto y = mlp(matrix({1, 2, -1, 1}, 2));
  CHECK(at::equal(y, matrix({10, 11, 1, -1}, 2)));
  CHECK(names(mlp) == std::set<std::string>{"gate_proj.weight", "up_proj.weight"});
}

TEST_CASE("bias, a wider hidden layer and down_proj by hand") {
  BilinearMlp mlp(BilinearMlpOptions{2, 3, true, true, Gate::kRelu});
  set(mlp->gate_proj, matrix({1, 0, 0, 1, 1, 1}, 2), at::tensor({1.0f, -5.0f, 0.0f}));
  set(mlp->up_proj, matrix({2, 0, 0, 2, 1, -1}, 2), at::tensor({0.0f, 1.0f, 4.0f}));
  set(mlp->down_proj, matrix({1, 1, 1, 0, 0, 2}, 3), at::tensor({100.0f, 200.0f}));
  // x = (1, 2): Wx + b = (2, -3, 3), relu (2, 0, 3); Vx + c = (2, 5, 3); product (4, 0, 9).
  CHECK(at::equal(mlp(matrix({1, 2}, 2)), matrix({113, 218}, 2)));
  CHECK(names(mlp) == std::set<std::string>{"gate_proj.weight", "gate_proj.bias", "up_proj.weight",
                                            "up_proj.bias", "down_proj.weight", "down_proj.bias"});
}

TEST_CASE("without biases the bilinear layer is quadratic: f(2x) = 4 f(x)") {
  at::manual_seed(0);
  BilinearMlp mlp(BilinearMlpOptions{5, 7, false, true, Gate::kNone});
  const auto x = at::randn({2, 3, 5});  // leading dimensions are kept
  const auto y = mlp(x);
  CHECK(y.sizes() == at::IntArrayRef({2, 3, 5}));
  CHECK(at::equal(mlp(2 * x), 4 * y));  // exact: powers of two
  BilinearMlp gated(BilinearMlpOptions{5, 7, false, true, Gate::kSilu});
  CHECK_FALSE(at::allclose(gated(2 * x), 4 * gated(x)));
}

TEST_CASE("gradients reach every parameter") {
  at::manual_seed(0);
  BilinearMlp mlp(BilinearMlpOptions{3, 4, true, true, Gate::kGelu});
  mlp(at::randn({8, 3})).square().sum().backward();
  for (const auto& item : mlp->named_parameters()) {
    CAPTURE(item.key());
    REQUIRE(item.value().grad().defined());
    CHECK(item.value().grad().abs().max().item<float>() > 0);
  }
}

TEST_CASE("without down_proj the hidden width must be the model's") {
  CHECK_THROWS_AS(BilinearMlp(BilinearMlpOptions{2, 3, false, false, Gate::kNone}), std::invalid_argument);
}

}  // namespace
}  // namespace bilens::bilinear_mlp_test
