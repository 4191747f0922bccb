// Products of matrices in each dtype, beside float64.
#include "matrix_product.h"

#include <ATen/ATen.h>

#include "catch.h"

namespace bilens::matrix_product_test {
namespace {

TEST_CASE("a product has the dtype of its matrices, and one rounding to it") {
  at::manual_seed(3);
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const int64_t rows : {1, 63, 64, 200}) {
      const auto a = at::randn({rows, 300}).to(dtype), b = at::randn({100, 300}).to(dtype);
      const auto exact = a.to(at::kDouble).mm(b.to(at::kDouble).t());
      const auto sizes = a.to(at::kDouble).abs().mm(b.to(at::kDouble).abs().t());
      auto into = at::zeros({rows, 100}, a.options());
      matrix_product_into(into, a, b.t());
      const auto found = matrix_product(a, b.t());
      CHECK(at::equal(into, found));
      CHECK(found.scalar_type() == dtype);
      // Half a unit in the last place, and sums of 300 products in float32.
      const double unit = dtype == at::kFloat ? 6e-8 : dtype == at::kHalf ? 4.9e-4 : 3.9e-3;
      CHECK(((found.to(at::kDouble) - exact).abs() <= unit * exact.abs() + 300 * 6e-8 * sizes)
                .all()
                .item<bool>());
    }
  }
}

}  // namespace
}  // namespace bilens::matrix_product_test
