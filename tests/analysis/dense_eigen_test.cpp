#include "eigen/dense_eigen.h"

#include <ATen/ATen.h>

#include <limits>

#include "catch.h"
#include "layers.h"

namespace bilens::dense_eigen_test {

using namespace bilens::test;

namespace {

/// The worst ‖QX − XΛ‖ and ‖XᵀX − I‖ of an entry.
double worst(const at::Tensor& q, const at::Tensor& values, const at::Tensor& vectors) {
  const auto residual = q.matmul(vectors) - vectors * values.unsqueeze(1);
  const auto off = vectors.mT().matmul(vectors) - at::eye(q.size(1), q.options());
  return at::stack({residual.abs().max(), off.abs().max()}).max().item<double>();
}

}  // namespace

TEST_CASE("a library's wrong spectrum is found and solved again, and the others stay as they are") {
  const auto m = random_tensor({3, 30, 30}, 1);
  const auto q = (m + m.mT()) * 0.5;
  const auto [values, vectors] = batched_eigh(q);
  REQUIRE(worst(q, values, vectors) < 1e-12);
  const auto check = [&](const at::Tensor& bad_values, const at::Tensor& bad_vectors) {
    const auto [mended, x] = repair_eigh(q, bad_values, bad_vectors);
    CHECK(worst(q, mended, x) < 1e-12);
    for (const int64_t i : {0, 2}) {
      CHECK(mended[i].equal(values[i]));
      CHECK(x[i].equal(vectors[i]));
    }
  };
  auto turned = vectors.clone();
  turned[1].select(1, 4) += 1e-3 * random_tensor({30}, 2);
  check(values, turned);
  auto twice = vectors.clone();  // a vector that is one, and not the right one
  twice[1].select(1, 4).copy_(vectors[1].select(1, 5));
  check(values, twice);
  auto shifted = values.clone();
  shifted[1][29] += 1e-3;
  check(shifted, vectors);
  auto none = values.clone();  // the library gave up
  none[1].fill_(std::numeric_limits<double>::quiet_NaN());
  check(none, at::where(none.isnan().unsqueeze(1), none.unsqueeze(1), vectors));
}

}  // namespace bilens::dense_eigen_test
