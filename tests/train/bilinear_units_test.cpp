#include "bilens/train/bilinear_units.h"

#include <ATen/ATen.h>

#include "catch.h"

namespace bilens::bilinear_units_test {
namespace {

double difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }
at::Tensor doubles(at::IntArrayRef shape) { return at::randn(shape, at::kDouble); }

TEST_CASE("units in a layer with biases give its output with their products, in rows of equal norms") {
  at::manual_seed(1);
  const BilinearFactors layer = {doubles({3, 6}), doubles({3, 6}), doubles({4, 4})};
  const BilinearUnits units = {doubles({3}), doubles({3}), doubles({3}), doubles({3}), doubles({3})};
  auto x = doubles({20, 6});
  x.select(1, 5).fill_(1);
  const auto products = units.products(x.mm(layer.gate.t()), x.mm(layer.up.t()));
  const auto expected = products.mm(layer.down.narrow(1, 0, 3).t()) + layer.down.select(1, 3);
  const auto found = units.in(layer);
  CHECK(difference(found.hidden(x).mm(found.down.t()), expected) < 1e-12);
  const auto norms = [](const at::Tensor& rows) { return rows.narrow(1, 0, 5).norm(2, {1}); };
  CHECK(difference(norms(found.gate), norms(found.up)) < 1e-12);
}

TEST_CASE("without biases the rows alone change, and a row of zeros stays one") {
  at::manual_seed(2);
  BilinearFactors layer = {doubles({3, 5}), doubles({3, 5}), doubles({4, 3})};
  layer.gate[1].zero_();
  const auto none = at::zeros({3}, at::kDouble);
  const BilinearUnits units = {none, doubles({3}), doubles({3}), none, none};
  const auto x = doubles({20, 5});
  const auto found = units.in(layer);
  const auto expected = units.products(x.mm(layer.gate.t()), x.mm(layer.up.t())).mm(layer.down.t());
  CHECK(difference(found.hidden(x).mm(found.down.t()), expected) < 1e-12);
  CHECK(found.gate[1].abs().max().item<double>() == 0.0);
  CHECK(found.down.equal(layer.down));
}

}  // namespace
}  // namespace bilens::bilinear_units_test
