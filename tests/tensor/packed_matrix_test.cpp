#include "bilens/tensor/packed_matrix.h"

#include <ATen/ATen.h>

#include "bilens/tensor/device.h"
#include "catch.h"

namespace bilens::packed_matrix_test {

namespace {

/// Whether every entry of a product XAᵀ of q terms is within γ_q·|X||A|ᵀ of the truth (Higham, section 3.5).
bool is_product(const at::Tensor& product, const at::Tensor& x, const at::Tensor& a) {
  const auto wide_x = x.to(at::kDouble), wide_a = a.to(at::kDouble);
  const double bound = static_cast<double>(x.size(1)) * machine_epsilon(x.scalar_type());
  const auto error = (product.to(at::kDouble) - wide_x.mm(wide_a.t())).abs();
  return (error <= bound * wide_x.abs().mm(wide_a.abs().t())).all().item<bool>();
}

}  // namespace

TEST_CASE("A packed matrix gives the products of the plain one", "[packed_matrix]") {
  at::manual_seed(0);
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    const auto a = at::randn({37, 21}, dtype);
    for (const int64_t rows : {1, 5, 16, 63, 64, 200}) {
      const auto x = at::randn({rows, 21}, dtype), y = at::randn({rows, 37}, dtype);
      for (const auto& matrix : {PackedMatrix(a), PackedMatrix::pack(a, 64), PackedMatrix::pack(a, 1)}) {
        CHECK(matrix.times_transposed(x).scalar_type() == dtype);
        CHECK(is_product(matrix.times_transposed(x), x, a));
        CHECK(is_product(matrix.times_transposed(x.t().contiguous().t()), x, a));
        CHECK(is_product(matrix.times(y), y, a.t()));
        CHECK(is_product(matrix.times(y.t().contiguous().t()), y, a.t()));
      }
    }
  }
}

}  // namespace bilens::packed_matrix_test
