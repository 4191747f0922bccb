#include "bilens/analysis/eigen/eigen.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "bilens/core/error.h"
#include "bilens/tensor/device.h"
#include "catch.h"
#include "layers.h"

namespace bilens::eigen_test {

using namespace bilens::test;

namespace {

EigenConfig config(int64_t k, at::ScalarType dtype = at::kDouble) {
  EigenConfig made;
  made.k = k;
  made.dtype = dtype;
  return made;
}

EigenPairs solve(const BilinearLayer& layer, const EigenConfig& eigen, const at::Tensor& u = {},
                 const at::Tensor& embed = {}) {
  return solve_eigen({layer, embed, u}, at::kCPU, eigen);
}

/// Everything that must hold of any result, whatever the layer. Tolerances: 1e-12 and 1e-5 as MATH states for
/// float64 and float32 orthogonality; residuals 1e-13 and 5e-6 of the spectral norm.
void check_invariants(const EigenPairs& pairs, at::ScalarType dtype) {
  const bool exact = dtype == at::kDouble;
  const auto v = pairs.eigenvectors.to(at::kDouble);
  const auto gram = v.matmul(v.mT());
  CHECK((gram - at::eye(pairs.k(), gram.options())).abs().max().item<double>() < (exact ? 1e-12 : 1e-5));
  CHECK(pairs.residuals.max().item<double>() < (exact ? 1e-13 : 5e-6));
  CHECK(pairs.converged.all().item<bool>());
  CHECK(pairs.eigenvalues.isfinite().all().item<bool>());
  const auto size = pairs.eigenvalues.abs();
  const auto slack = 50 * machine_epsilon(dtype) * size.amax(1, true);
  if (pairs.k() > 1) {
    CHECK((size.narrow(1, 0, pairs.k() - 1) + slack).ge(size.narrow(1, 1, pairs.k() - 1)).all().item<bool>());
  }
  CHECK(v.gather(2, v.abs().argmax(2, true)).gt(0).all().item<bool>());
}

}  // namespace

TEST_CASE("eigenvalues by hand") {
  // Q = [[0, 1], [1, 0]]: y = 2 x1 x2, eigenvalues +1 and −1, vectors (1, ±1)/√2; the positive one comes
  // first.
  BilinearLayer layer;
  layer.gate = at::tensor({2.0, 0.0}).view({1, 2});
  layer.up = at::tensor({0.0, 1.0}).view({1, 2});
  const auto pairs = solve(layer, config(2));
  check_invariants(pairs, at::kDouble);
  CHECK(pairs.eigenvalues[0][0].item<double>() == Approx(1).epsilon(1e-15));
  CHECK(pairs.eigenvalues[0][1].item<double>() == Approx(-1).epsilon(1e-15));
  CHECK(pairs.eigenvectors[0][0].abs().equal(pairs.eigenvectors[0][0]));
  CHECK(pairs.trace.item<double>() == 0.0);
  CHECK(pairs.frobenius.item<double>() == Approx(std::sqrt(2.0)).epsilon(1e-14));
  CHECK(pairs.effective_rank.item<double>() == Approx(2.0).epsilon(1e-14));
  CHECK(pairs.cluster[0][0].item<int>() != pairs.cluster[0][1].item<int>());  // ±1 are told apart
  CHECK(pairs.tie_at_k.item<int>() == 0);
  CHECK(solve(layer, config(1)).tie_at_k.item<int>() == 1);  // |+1| = |−1|: the cut at 1 is one of two equals
}

TEST_CASE("planted spectra are found, in float32 and float64, sizes of nothing") {
  const std::vector<double> planted = {-3.0, 2.5, 1.0, -0.5, 0.25};
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    at::Tensor vectors;
    const auto layer = planted_layer(planted, 37, 5, &vectors);
    const auto pairs = solve(layer, config(5, dtype));
    check_invariants(pairs, dtype);
    // Rayleigh quotients in float64: the error is quadratic in the vectors' error, so 1e-12 in either dtype.
    CHECK((pairs.eigenvalues[0] - at::tensor(planted, at::kDouble)).abs().max().item<double>() < 3e-12);
    // ‖v − σx‖, never √(1 − cos²): float32 rounding of the matrix over a gap of 0.08 of the norm gives some
    // 1e-6.
    const auto found = pairs.eigenvectors[0].to(at::kDouble);
    const auto sign = (found * vectors).sum(1, true).sign();
    CHECK((found - sign * vectors).norm(2, {1}).max().item<double>() < (dtype == at::kDouble ? 1e-13 : 1e-5));
    CHECK(pairs.weight_energy[0][4].item<double>() ==
          Approx(1.0).epsilon(dtype == at::kDouble ? 1e-13 : 1e-6));
    CHECK(pairs.vector_error.max().item<double>() < (dtype == at::kDouble ? 1e-12 : 1e-4));
    CHECK(pairs.tie_at_k.item<int>() == 0);
    CHECK(solve(layer, config(6, dtype)).tie_at_k.item<int>() == 1);  // beyond the rank all are zero
  }
}

TEST_CASE("k = d and k beyond the rank give a full orthonormal basis") {
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    const auto pairs = solve(planted_layer({2.0, -1.0}, 11, 9), config(1000, dtype));
    REQUIRE(pairs.k() == 11);
    check_invariants(pairs, dtype);
    CHECK(pairs.eigenvalues[0].narrow(0, 2, 9).abs().max().item<double>() <
          (dtype == at::kDouble ? 1e-14 : 1e-6));
    CHECK(pairs.tie_at_k.item<int>() == 0);
  }
}

TEST_CASE("a multiple eigenvalue keeps all its copies and is called a cluster") {
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    const auto pairs = solve(planted_layer({2.0, 2.0, 2.0, -1.0}, 23, 3), config(4, dtype));
    check_invariants(pairs, dtype);
    CHECK((pairs.eigenvalues[0] - at::tensor({2.0, 2.0, 2.0, -1.0})).abs().max().item<double>() < 1e-11);
    CHECK(pairs.cluster[0][0].item<int>() == pairs.cluster[0][2].item<int>());
    CHECK(pairs.cluster[0][3].item<int>() != pairs.cluster[0][2].item<int>());
    CHECK(pairs.vector_error[0][0].item<double>() > 1e-3);  // no single vector is determined
    CHECK(solve(planted_layer({2.0, 2.0, 2.0, -1.0}, 23, 3), config(2, dtype)).tie_at_k.item<int>() == 1);
  }
}

TEST_CASE("exact plus-minus pairs: the positive one first") {
  const auto pairs = solve(planted_layer({-3.0, 3.0, -1.0, 1.0}, 17, 2), config(4));
  check_invariants(pairs, at::kDouble);
  CHECK((pairs.eigenvalues[0] - at::tensor({3.0, -3.0, 1.0, -1.0})).abs().max().item<double>() < 1e-12);
}

TEST_CASE("zero: W = 0, u = 0, W = V and W = -V") {
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    auto layer = random_layer(6, 5, 2, true, 1);
    const auto u = at::cat({at::zeros({1, 2}, at::kDouble), random_tensor({1, 2}, 2)});
    const auto mixed = solve(layer, config(5, dtype), u);
    check_invariants(mixed, dtype);
    CHECK(mixed.eigenvalues[0].abs().max().item<double>() == 0.0);
    CHECK(mixed.residuals[0].abs().max().item<double>() == 0.0);
    CHECK(mixed.weight_energy[0].eq(1).all().item<bool>());
    CHECK(mixed.effective_rank[0].item<double>() == 0.0);

    layer.up = layer.gate.clone();
    layer.down = layer.down.abs();
    const auto positive = solve(layer, config(5, dtype), at::ones({1, 2}, at::kDouble));
    check_invariants(positive, dtype);
    CHECK(positive.eigenvalues.ge(0).all().item<bool>());  // Σ s_k w_k w_kᵀ with s ≥ 0
    layer.up = -layer.gate;
    const auto negative = solve(layer, config(5, dtype), at::ones({1, 2}, at::kDouble));
    CHECK((negative.eigenvalues + positive.eigenvalues).abs().max().item<double>() < 1e-6);

    layer.gate.zero_();
    check_invariants(solve(layer, config(5, dtype)), dtype);
  }
}

TEST_CASE("weights of 1e30 and 1e-30 neither overflow nor vanish") {
  const auto base = random_layer(12, 9, 4, true, 8);
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    const auto expected = solve(base, config(9, dtype));
    for (const double scale : {1e30, 1e-30}) {
      auto layer = base;
      layer.gate = base.gate * scale;
      layer.up = base.up * scale;
      const auto pairs = solve(layer, config(9, dtype));
      check_invariants(pairs, dtype);
      const auto ratio = pairs.eigenvalues / (scale * scale) - expected.eigenvalues;
      CHECK(ratio.abs().max().item<double>() < 1e-11 * expected.eigenvalues.abs().max().item<double>());
      CHECK((pairs.effective_rank - expected.effective_rank).abs().max().item<double>() < 1e-4);
    }
  }
}

TEST_CASE("NaN weights are an error, not a result") {
  auto layer = random_layer(4, 3, 2, true, 1);
  layer.up[0][0] = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_AS(solve(layer, config(2)), Error);
}

TEST_CASE("over the input: eigenvectors of the input-space matrix, not mapped ones") {
  const auto layer = random_layer(10, 6, 3, true, 4);
  // Wider and narrower than the model; the second has no complement, the third a rank below both sizes.
  const auto wide = random_tensor({6, 15}, 5), narrow = random_tensor({6, 4}, 6);
  const auto deficient = at::cat({wide.narrow(0, 0, 3), wide.narrow(0, 0, 3)});
  for (const auto& embed : {wide, narrow, deficient}) {
    const auto folded = fold_input(layer, embed);
    for (const int64_t k : {int64_t{2}, embed.size(1)}) {
      const auto through = solve(layer, config(k), {}, embed), direct = solve(folded, config(k));
      check_invariants(through, at::kDouble);
      CHECK((through.eigenvalues - direct.eigenvalues).abs().max().item<double>() < 1e-11);
      CHECK((through.trace - direct.trace).abs().max().item<double>() < 1e-11);
      CHECK((through.frobenius - direct.frobenius).abs().max().item<double>() < 1e-11);
      CHECK((through.effective_rank - direct.effective_rank).abs().max().item<double>() < 1e-9);
      CHECK(through.tie_at_k.equal(direct.tie_at_k));
      const auto projector = [&](const EigenPairs& p) {
        return p.eigenvectors.narrow(1, 0, 2).mT().matmul(p.eigenvectors.narrow(1, 0, 2));
      };
      CHECK((projector(through) - projector(direct)).abs().max().item<double>() < 1e-8);
    }
  }
}

TEST_CASE("results do not depend on chunks, on the order of directions, or on threads beyond rounding") {
  const auto layer = random_layer(31, 19, 8, true, 12);
  const auto u = random_tensor({7, 8}, 13);
  auto small = config(6);
  small.memory_limit = 1;  // one direction at a time
  const auto whole = solve(layer, config(6), u), chunked = solve(layer, small, u),
             turned = solve(layer, config(6), u.flip(0));
  const double norm = whole.eigenvalues.abs().max().item<double>();
  CHECK((whole.eigenvalues - chunked.eigenvalues).abs().max().item<double>() < 50 * 2.2e-16 * norm);
  CHECK((whole.eigenvalues - turned.eigenvalues.flip(0)).abs().max().item<double>() < 50 * 2.2e-16 * norm);
  CHECK((whole.eigenvectors - chunked.eigenvectors).abs().max().item<double>() < 1e-11);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto single = solve(layer, config(6), u);
  at::set_num_threads(threads);
  CHECK((whole.eigenvalues - single.eigenvalues).abs().max().item<double>() < 50 * 2.2e-16 * norm);
}

TEST_CASE("without energy nothing of it is stated") {
  auto off = config(2);
  off.energy = Energy::kOff;
  const auto pairs = solve(random_layer(4, 3, 2, true, 1), off);
  CHECK_FALSE(pairs.frobenius.defined());
  CHECK_FALSE(pairs.weight_energy.defined());
}

TEST_CASE("a cluster that the cut goes through is told apart in float32 as in float64") {
  std::vector<double> planted;
  for (int i = 0; i < 10; ++i) planted.push_back(1 - 1e-7 * i);
  for (int i = 0; i < 30; ++i) planted.push_back(0.8 * std::cos(1.7 * i));
  const auto layer = planted_layer(planted, 60, 91);
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    auto eigen = config(4, dtype);
    eigen.solver = EigenSolver::kDense;
    const auto pairs = solve(layer, eigen);
    CHECK(
        (pairs.eigenvalues[0] - at::tensor(planted, at::kDouble).narrow(0, 0, 4)).abs().max().item<double>() <
        1e-13);
    CHECK(pairs.tie_at_k.item<int>() == 0);
  }
}

TEST_CASE("no share of the energy is above 1, and it is that of float64") {
  auto layer = random_layer(24, 12, 2, true, 92);
  auto eigen = config(12, at::kFloat);
  for (const double apart : {1.0, 1e-3, 1e-6}) {  // the second half of the units nearly takes the first away
    layer.gate.narrow(0, 12, 12).copy_(layer.gate.narrow(0, 0, 12));
    layer.up.narrow(0, 12, 12).copy_(layer.up.narrow(0, 0, 12));
    layer.down.narrow(1, 12, 12).copy_(layer.down.narrow(1, 0, 12) * -(1 + apart));
    const auto norms = slow_matrices(layer, at::eye(2, at::kDouble)).norm(2, {1, 2});
    for (const auto solver : {EigenSolver::kDense, EigenSolver::kLanczos, EigenSolver::kFormed}) {
      eigen.solver = solver;
      eigen.k = solver == EigenSolver::kDense ? 12 : 2;
      eigen.energy = Energy::kExact;
      const auto pairs = solve(layer, eigen);
      INFO(solver_name(solver) << " " << apart);
      CHECK(pairs.solver == solver);
      CHECK((pairs.frobenius / norms - 1).abs().max().item<double>() < 1e-12 + 1e-14 / apart);
      CHECK(pairs.weight_energy.le(1).all().item<bool>());
      if (eigen.k == 12)
        CHECK(pairs.weight_energy.select(1, 11).min().item<double>() > 1 - 1e-12 - 1e-14 / apart);
    }
  }
}

TEST_CASE("units of very different sizes, and what float64 does not hold") {
  const auto base = random_layer(6, 5, 2, true, 93);
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    auto layer = base;
    const auto sizes = at::tensor({1e-18, 1e-9, 1.0, 1e9, 1e18, 1e-4}, at::kDouble).unsqueeze(1);
    layer.gate = base.gate * sizes;
    layer.up = base.up / sizes;
    const auto pairs = solve(layer, config(5, dtype)), expected = solve(base, config(5, dtype));
    check_invariants(pairs, dtype);
    CHECK((pairs.eigenvalues - expected.eigenvalues).abs().max().item<double>() < 1e-13);
  }
  auto layer = base;
  layer.gate = base.gate * 1e200;
  layer.up = base.up * 1e200;
  CHECK_THROWS_AS(solve(layer, config(2)), Error);
  layer.up = base.up * 1e-200;
  const auto pairs = solve(layer, config(5)), expected = solve(base, config(5));
  CHECK((pairs.eigenvalues - expected.eigenvalues).abs().max().item<double>() < 1e-13);
  CHECK((pairs.frobenius - expected.frobenius).abs().max().item<double>() < 1e-13);
}

}  // namespace bilens::eigen_test
