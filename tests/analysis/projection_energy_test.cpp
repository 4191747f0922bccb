#include "bilens/analysis/eigen/projection_energy.h"

#include <ATen/ATen.h>

#include "bilens/analysis/factors/sparsity.h"
#include "catch.h"
#include "layers.h"

namespace bilens::projection_energy_test {

using namespace bilens::test;

TEST_CASE("projection energies by hand") {
  // Q = [[1, 2], [2, 3]], ‖Q‖² = 18. e1 alone has 1²; e1, e2 have 1² + 3² on the diagonal and everything in
  // full.
  const auto q = at::tensor({1.0, 2.0, 2.0, 3.0}, at::kDouble).view({1, 2, 2});
  const auto eye = at::eye(2, at::kDouble).unsqueeze(0), total = at::tensor({18.0}, at::kDouble);
  const auto energy = projection_energy(q, eye, total);
  CHECK((energy.diagonal[0] * 18 - at::tensor({1.0, 10.0}, at::kDouble)).abs().max().item<double>() < 1e-13);
  CHECK((energy.full[0] * 18 - at::tensor({1.0, 18.0}, at::kDouble)).abs().max().item<double>() < 1e-13);
  CHECK(energy.off_diagonal.item<double>() == Approx(8.0 / 18).epsilon(1e-14));
}

TEST_CASE("vectors that depend on others add no energy") {
  const auto m = random_tensor({7, 7}, 1), x = random_tensor({2, 7}, 2);
  const auto q = m + m.t();
  const auto twice = at::stack({x[0], -2 * x[0], x[1], at::zeros_like(x[0])});
  const auto energy_of = [&](const at::Tensor& rows) {
    return projection_energy(rows.mm(q).mm(rows.t()).unsqueeze(0), rows.mm(rows.t()).unsqueeze(0),
                             q.square().sum().unsqueeze(0));
  };
  const auto once = energy_of(x), more = energy_of(twice);
  const auto which = at::tensor({0, 0, 1, 1}, at::kLong);
  CHECK((more.diagonal[0] - once.diagonal[0].index_select(0, which)).abs().max().item<double>() < 1e-12);
  CHECK((more.full[0] - once.full[0].index_select(0, which)).abs().max().item<double>() < 1e-12);
}

TEST_CASE("sparsity by hand") {
  const auto x =
      at::tensor({0.0, -3.0, 0.0, 0.0, 1.0, 1.0, -1.0, 1.0, 0.0, 0.0, 0.0, 0.0}, at::kDouble).view({3, 4});
  for (const double scale : {1.0, 1e200, 1e-200}) {  // squares neither overflow nor vanish
    const auto sparsity = measure_sparsity(x * scale);
    CHECK(sparsity.nonzeros.equal(at::tensor({1.0, 4.0, 0.0}, at::kDouble)));
    CHECK((sparsity.participation - at::tensor({1.0, 4.0, 0.0}, at::kDouble)).abs().max().item<double>() <
          1e-14);
    CHECK((sparsity.hoyer - at::tensor({1.0, 0.0, 0.0}, at::kDouble)).abs().max().item<double>() < 1e-14);
  }
}

}  // namespace bilens::projection_energy_test
