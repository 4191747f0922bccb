#include "bilens/analysis/forms/difference.h"

#include <ATen/ATen.h>

#include <cmath>
#include <vector>

#include "bilens/analysis/factors/cp.h"
#include "bilens/analysis/factors/hosvd.h"
#include "bilens/analysis/factors/joint.h"
#include "bilens/analysis/factors/rotation.h"
#include "bilens/analysis/factors/sparse_eigen.h"
#include "bilens/analysis/forms/interaction.h"
#include "bilens/analysis/forms/rounding_floor.h"
#include "bilens/analysis/forms/traceless.h"
#include "bilens/core/error.h"
#include "catch.h"
#include "layers.h"

namespace bilens::difference_test {

using namespace bilens::test;

namespace {

/// A layer with every weight moved by normal numbers times `size`; biases too, where there are any.
BilinearLayer moved(const BilinearLayer& layer, double size, uint64_t seed) {
  BilinearLayer other = layer;
  for (auto* weight :
       {&other.gate, &other.up, &other.down, &other.gate_bias, &other.up_bias, &other.down_bias}) {
    if (weight->defined())
      *weight = (*weight + size * random_tensor(weight->sizes(), seed++)).to(weight->dtype());
  }
  return other;
}

BilinearLayer with_biases(BilinearLayer layer, uint64_t seed) {
  layer.gate_bias = random_tensor({layer.d_hidden()}, seed);
  layer.up_bias = random_tensor({layer.d_hidden()}, seed + 1);
  layer.down_bias = random_tensor({layer.d_out()}, seed + 2);
  return layer;
}

/// The same function, its hidden units in another order.
BilinearLayer reordered(const BilinearLayer& layer, uint64_t seed) {
  const auto order = random_tensor({layer.d_hidden()}, seed).argsort();
  BilinearLayer other = layer;
  other.gate = layer.gate.index_select(0, order);
  other.up = layer.up.index_select(0, order);
  other.down = layer.down.index_select(1, order);
  return other;
}

at::Tensor matrices(const BilinearLayer& layer) {
  return slow_matrices(layer.to(at::kDouble, at::kCPU), at::eye(layer.d_out(), at::kDouble));
}

double relative_error(const at::Tensor& found, const at::Tensor& right) {
  return (found - right).norm().item<double>() / right.norm().item<double>();
}

EigenPairs solve(const BilinearLayer& layer, EigenSolver solver, at::ScalarType dtype, int64_t k = 2) {
  EigenConfig config;
  config.k = k;
  config.solver = solver;
  config.dtype = dtype;
  config.energy = Energy::kExact;
  config.certify = true;
  return solve_eigen({layer, {}, {}}, at::kCPU, config);
}

}  // namespace

TEST_CASE("the difference of two layers is one layer") {
  const auto a = random_layer(5, 4, 3, true, 1), b = random_layer(6, 4, 3, true, 2);
  const auto x = random_tensor({8, 4}, 3);
  const auto expected = a.forward(x) - b.forward(x);
  CHECK((subtract(a, b).forward(x) - expected).abs().max().item<double>() < 1e-13);
  const auto other = random_layer(5, 7, 3, true, 1);
  CHECK_THROWS_AS(subtract(a, other), Error);
}

TEST_CASE("the difference of layers with biases, residuals, or no down projection is theirs", "[minus]") {
  const auto x = random_tensor({20, 6}, 1);
  const auto biased = [](BilinearLayer layer, int which, uint64_t seed) {
    if (which & 1) layer.gate_bias = random_tensor({layer.d_hidden()}, seed);
    if (which & 2) layer.up_bias = random_tensor({layer.d_hidden()}, seed + 1);
    if (which & 4) layer.down_bias = random_tensor({layer.d_out()}, seed + 2);
    return layer;
  };
  for (const bool residual : {false, true}) {
    for (int a_biases = 0; a_biases < 8; ++a_biases) {
      for (int b_biases = 0; b_biases < 8; ++b_biases) {
        auto a = biased(random_layer(9, 6, 6, true, 1), a_biases, 10);
        auto b = biased(random_layer(6, 6, 6, false, 2), b_biases, 20);
        a.residual = b.residual = residual;
        const auto difference = subtract(a, b);
        const auto expected = a.forward(x) - b.forward(x);
        CHECK((difference.forward(x) - expected).abs().max().item<double>() <
              1e-12 * expected.abs().max().item<double>());
        CHECK(difference.has_linear() == ((a_biases | b_biases) != 0));
      }
    }
  }
  auto with = random_layer(9, 6, 6, true, 1);
  const auto without = with;
  with.residual = true;
  CHECK_THROWS_WITH(subtract(with, without), ContainsSubstring("residual") && ContainsSubstring("first"));
  CHECK_THROWS_WITH(subtract(without, with), ContainsSubstring("residual") && ContainsSubstring("second"));
}

TEST_CASE("a small change of corresponding units is as exact as the change, not as the layers", "[minus]") {
  for (const double size : {1e-3, 1e-6}) {
    const auto a = with_biases(random_layer(24, 16, 8, true, 1), 2).to(at::kFloat, at::kCPU);
    const auto b = moved(a, size, 10);
    const auto change = subtract(a, b);
    // The reference subtracts float64 numbers of order one: eps over the size of the change.
    const double reference = 1e-15 / size;
    const auto right = matrices(a) - matrices(b);
    CHECK(relative_error(matrices(change), right) < 10 * reference);
    // In float32 each term is rounded relative to the change: a few eps, where stacked layers lose eps/size.
    const auto q = InteractionOperator(change.to(at::kFloat, at::kCPU), {}).form(0, 8, at::kFloat);
    CHECK(relative_error(q.to(at::kDouble), right) < 5e-7);
    const auto forms = [](const BilinearLayer& layer) {
      return InteractionOperator(layer.to(at::kDouble, at::kCPU), {});
    };
    CHECK(relative_error(forms(change).linear(), forms(a).linear() - forms(b).linear()) < 10 * reference);
    CHECK(relative_error(forms(change).constant(), forms(a).constant() - forms(b).constant()) <
          10 * reference);
  }
}

TEST_CASE("eigenpairs of a change of 1e-6 are right in float32 too", "[minus]") {
  const auto a = random_layer(48, 32, 3, true, 20).to(at::kFloat, at::kCPU);
  const auto b = moved(a, 1e-6, 30);
  const auto right = std::get<0>(at::linalg_eigh(matrices(a) - matrices(b)));  // off by 1e-9 of the change
  for (const auto solver : {EigenSolver::kDense, EigenSolver::kLanczos}) {
    const auto pairs = solve(subtract(a, b), solver, at::kFloat);
    CHECK(pairs.converged.eq(1).all().item<bool>());
    CHECK(pairs.unchanged_directions().numel() == 0);
    const auto largest = std::get<0>(right.abs().topk(2, 1));
    CHECK((pairs.eigenvalues.abs() - largest).abs().max().item<double>() <
          5e-7 * largest.max().item<double>());
  }
}

TEST_CASE("units that only one of two layers has are all that its difference is made of", "[minus]") {
  const auto a = random_layer(9, 6, 4, true, 40);
  auto b = a;
  b.gate = a.gate.narrow(0, 0, 7);
  b.up = a.up.narrow(0, 0, 7);
  b.down = a.down.narrow(1, 0, 7);
  CHECK(subtract(a, b).d_hidden() == 2);
  CHECK(relative_error(matrices(subtract(a, b)), matrices(a) - matrices(b)) < 1e-14);
  CHECK(relative_error(matrices(subtract(b, a)), matrices(b) - matrices(a)) < 1e-14);
  CHECK(subtract(a, a).d_hidden() == 1);
  CHECK(matrices(subtract(a, a)).eq(0).all().item<bool>());
}

TEST_CASE("layers that are equal, unit by unit or in another order, did not change", "[minus]") {
  const auto a = random_layer(24, 12, 5, true, 50);
  const double size = matrices(a).norm(2, {1, 2}).max().item<double>();
  for (const auto& b : {a, reordered(a, 51)}) {
    const auto nothing = subtract(a, b);
    for (const auto solver : {EigenSolver::kDense, EigenSolver::kLanczos}) {
      for (const auto dtype : {at::kFloat, at::kDouble}) {
        const auto pairs = solve(nothing, solver, dtype);
        CHECK(pairs.unchanged_directions().numel() == 5);
        CHECK(pairs.floor.max().item<double>() == Approx(100 * 2.2204460492503131e-16 * size).epsilon(1e-6));
        CHECK(pairs.eigenvalues.eq(0).all().item<bool>());
        CHECK(pairs.converged.eq(0).all().item<bool>());
        CHECK(pairs.weight_energy.isnan().all().item<bool>());
        CHECK(pairs.certified_bound.ge(pairs.floor).all().item<bool>());
        const auto rotated = rotate_eigenspaces(pairs, at::kCPU, {});
        CHECK(rotated.unchanged == 5);
        CHECK(rotated.energy.full.isnan().all().item<bool>());
      }
    }
    const EigenProblem problem{nothing, {}, {}};
    for (const auto& mode : {output_hosvd, input_hosvd}) {
      const auto found = mode(problem, {});
      CHECK(found.resolved == 0);
      CHECK(found.energy.isnan().all().item<bool>());
      CHECK(found.singular_values.max().item<double>() <= found.floor);
    }
    const auto joint = diagonalize_jointly(problem, at::kCPU, {});
    CHECK((joint.unchanged && !joint.converged && std::isnan(joint.full_energy)));
    const auto cp = decompose_cp(problem, at::kCPU, {});
    CHECK((cp.unchanged && !cp.converged() && std::isnan(cp.energy)));
    CHECK(cp.outputs.eq(0).all().item<bool>());
    SparseEigenConfig sparse;
    sparse.sparsity = {2, 3};
    for (const auto& pairs : solve_sparse_eigen(problem, at::kCPU, sparse)) {
      CHECK(pairs.unchanged == 5);
      CHECK(pairs.objective.eq(0).all().item<bool>());
      CHECK(pairs.energy.full.isnan().all().item<bool>());
    }
  }
}

TEST_CASE("one changed direction among equal ones is told apart from them", "[minus]") {
  const auto a = random_layer(24, 12, 5, true, 60);
  auto b = reordered(a, 61);
  b.down = b.down.clone();
  b.down[3] += 1e-9 * random_tensor({24}, 62);
  const auto right = std::get<0>(at::linalg_eigh(matrices(a) - matrices(b))).abs().amax(1)[3].item<double>();
  for (const auto solver : {EigenSolver::kDense, EigenSolver::kLanczos}) {
    const auto pairs = solve(subtract(a, b), solver, at::kDouble);
    CHECK(pairs.unchanged_directions().equal(at::tensor({0, 1, 2, 4}, at::kLong)));
    CHECK(pairs.eigenvalues[3][0].abs().item<double>() == Approx(right).epsilon(1e-5));
  }
}

TEST_CASE("what HOSVD makes of a rank-one change is one factor above its floor", "[minus]") {
  const auto common = random_layer(24, 16, 8, true, 70);
  const auto other = reordered(common, 71);
  const auto l = random_tensor({1, 16}, 72), direction = random_tensor({8, 1}, 73);
  for (const double size : {1e-1, 1e-3, 1e-5}) {
    auto a = common;
    a.gate = at::cat({common.gate, l});
    a.up = at::cat({common.up, l});
    a.down = at::cat({common.down, size * direction}, 1);
    const double sigma = size * direction.norm().item<double>() * l.square().sum().item<double>();
    for (const auto& mode : {output_hosvd, input_hosvd}) {
      const auto found = mode({subtract(a, other), {}, {}}, {});
      CHECK(found.resolved == 1);
      CHECK(found.singular_values[0].item<double>() == Approx(sigma).epsilon(1e-4));
      CHECK(found.singular_values[1].item<double>() <= found.floor);
      CHECK(found.energy[0].item<double>() == 1);
      HosvdConfig most;
      most.energy = 0.999999;
      CHECK(mode({subtract(a, other), {}, {}}, most).singular_values.numel() == 1);
    }
  }
}

TEST_CASE("float32 loses a small change in stacked layers, and not in the telescoped ones", "[minus]") {
  const auto a = random_layer(24, 16, 8, true, 1).to(at::kFloat, at::kCPU);
  const auto b = moved(a, 1e-6, 10);
  BilinearLayer stacked;
  stacked.gate = at::cat({a.gate, b.gate});
  stacked.up = at::cat({a.up, b.up});
  stacked.down = at::cat({a.down, -b.down}, 1);
  const auto right = matrices(a) - matrices(b);
  const auto error = [&](const BilinearLayer& layer) {
    const auto q = InteractionOperator(layer.to(at::kFloat, at::kCPU), {}).form(0, 8, at::kFloat);
    return relative_error(q.to(at::kDouble), right);
  };
  CHECK(error(stacked) > 0.01);  // eps/2 = 6e-8 over 1e-6, less what averages out
  CHECK(error(subtract(a, b)) < 5e-7);
}

TEST_CASE("λ and −λ of a difference are told apart", "[minus]") {
  BilinearLayer a;
  a.gate = at::tensor({2.0, 0.0}, at::kDouble).view({1, 2});
  a.up = at::tensor({0.0, 1.0}, at::kDouble).view({1, 2});
  a.down = at::ones({1, 1}, at::kDouble);
  auto none = a;
  none.gate = at::zeros_like(a.gate);
  const auto pairs = solve(subtract(a, none), EigenSolver::kDense, at::kDouble);
  CHECK((pairs.eigenvalues[0] - at::tensor({1.0, -1.0}, at::kDouble)).abs().max().item<double>() < 1e-15);
  CHECK(pairs.cluster[0][0].item<int>() != pairs.cluster[0][1].item<int>());
}

TEST_CASE("eigenvalues of a change that are closer than the floor are not told apart", "[minus]") {
  // 50 eps of the change itself is 1e-24: without the floor all five would stand alone, by falling |λ|.
  const auto common = random_layer(24, 12, 1, true, 90);
  const std::vector<double> planted = {-1e-10, 1e-10 - 5e-15, -(1e-10 - 8e-15), 5e-11, -2e-11};
  const auto axes = at::eye(12, at::kDouble).narrow(0, 0, 5);
  auto a = common;
  a.gate = at::cat({common.gate, axes});
  a.up = at::cat({common.up, axes});
  a.down = at::cat({common.down, at::tensor(planted, at::kDouble).view({1, 5})}, 1);
  for (const int64_t k : {1, 2, 3, 4}) {
    const auto pairs = solve(subtract(a, common), EigenSolver::kDense, at::kDouble, k);
    const double floor = pairs.floor.item<double>();
    REQUIRE(floor > 1e-14);
    REQUIRE(floor < 1e-12);
    CAPTURE(k);
    CHECK(pairs.tie_at_k.item<int>() == (k < 3));
    if (k < 4) continue;
    const auto order = at::tensor({planted[1], planted[0], planted[2], planted[3]}, at::kDouble);
    CHECK((pairs.eigenvalues[0] - order).abs().max().item<double>() < 1e-24);  // positive ones first
    CHECK(pairs.cluster[0].equal(at::tensor({0, 1, 1, 2}, at::kInt)));
  }
}

TEST_CASE("without its trace a multiple of the identity is rounding alone", "[minus]") {
  BilinearLayer sphere;
  sphere.gate = std::get<0>(at::linalg_qr(random_tensor({12, 12}, 80)));
  sphere.up = sphere.gate.clone();
  sphere.down = random_tensor({4, 1}, 81).expand({4, 12}).contiguous();
  CHECK(without_trace(sphere).d_hidden() == 12 + 12);  // h + d
  const auto pairs = solve(without_trace(sphere), EigenSolver::kDense, at::kDouble);
  CHECK(pairs.unchanged_directions().numel() == 4);
}

}  // namespace bilens::difference_test
