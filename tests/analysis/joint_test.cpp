#include "bilens/analysis/factors/joint.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "bilens/analysis/forms/difference.h"
#include "bilens/core/error.h"
#include "catch.h"
#include "layers.h"

namespace bilens::joint_test {

using namespace bilens::test;

namespace {

JointConfig config(int64_t k) {
  JointConfig made;
  made.k = k;
  return made;
}

JointBasis solve(const BilinearLayer& layer, const JointConfig& joint, const at::Tensor& u = {}) {
  return diagonalize_jointly({layer, {}, u}, at::kCPU, joint);
}

/// B_i = Σ_r A_ir v_r v_rᵀ, hidden: W and V are mixed by orthogonal and triangular matrices, which P undoes.
/// @param vectors [r, d] orthonormal, set
BilinearLayer commuting_layer(int64_t m, int64_t r, int64_t d, uint64_t seed, at::Tensor& vectors) {
  vectors = std::get<0>(at::linalg_qr(random_tensor({d, r}, seed))).t().contiguous();
  BilinearLayer layer;
  layer.gate = vectors * 2;
  layer.up = vectors * 0.5;
  layer.down = random_tensor({m, r}, seed + 1);
  return layer;
}

/// What holds of any result; `b` [n, d, d] are the matrices. Tolerances: sums of a few hundred products.
void check_invariants(const JointBasis& basis, const at::Tensor& b) {
  const auto& v = basis.vectors;
  const int64_t k = v.size(0);
  CHECK((v.mm(v.t()) - at::eye(k, at::kDouble)).abs().max().item<double>() < 1e-12);
  const auto cores = v.matmul(b).matmul(v.t());
  const double size = std::max(b.norm().item<double>(), 1e-300), squared = size * size;
  CHECK((cores.diagonal(0, 1, 2) - basis.values).abs().max().item<double>() <= 1e-12 * size);
  CHECK(std::abs(basis.values.square().sum().item<double>() - basis.objective) <= 1e-12 * squared);
  CHECK(std::abs(basis.total - squared) <= 1e-12 * squared);
  CHECK(basis.history.diff().ge(-1e-14 * squared).all().item<bool>());
  CHECK(basis.history[-1].item<double>() == Approx(basis.objective).epsilon(1e-12));
  CHECK(basis.start_objectives.max().item<double>() == Approx(basis.objective).epsilon(1e-12));
  const auto sizes = basis.values.square().sum(0);
  if (k > 1)
    CHECK(sizes.narrow(0, 0, k - 1).ge(sizes.narrow(0, 1, k - 1) - 1e-12 * squared).all().item<bool>());
  if (basis.total == 0) return;
  CHECK(basis.diagonal_energy[-1].item<double>() == Approx(basis.objective / basis.total).epsilon(1e-12));
  const double full = cores.square().sum().item<double>();
  CHECK(basis.full_energy == Approx(full / squared).epsilon(1e-11));
  CHECK(std::abs(basis.off_diagonal - (1 - basis.objective / full)) < 1e-11);
}

}  // namespace

TEST_CASE("a joint basis by hand") {
  // B_1 = diag(2, 1), B_2 = diag(1, −1) over turned coordinates (e1 ± e2)/√2: f = 2² + 1² + 1² + 1² = 7.
  BilinearLayer layer;
  layer.gate = layer.up = at::tensor({1.0, 1.0, 1.0, -1.0}, at::kDouble).view({2, 2}) / std::sqrt(2.0);
  layer.down = at::tensor({2.0, 1.0, 1.0, -1.0}, at::kDouble).view({2, 2});
  const auto basis = solve(layer, config(2));
  check_invariants(basis, slow_matrices(layer, at::eye(2, at::kDouble)));
  CHECK(basis.objective == Approx(7).epsilon(1e-13));
  CHECK(basis.vectors.abs().sub(std::sqrt(0.5)).abs().max().item<double>() < 1e-12);
  CHECK((basis.values - layer.down).abs().max().item<double>() < 1e-12);
}

TEST_CASE("an exactly jointly diagonalisable layer is diagonalised") {
  for (const int64_t r : {int64_t{6}, int64_t{13}}) {
    at::Tensor planted;
    const auto layer = commuting_layer(5, r, 13, 70, planted);
    const auto basis = solve(layer, config(r));
    check_invariants(basis, slow_matrices(layer, at::eye(5, at::kDouble)));
    CHECK(basis.converged);
    CHECK(basis.off_diagonal < 1e-12);
    CHECK(basis.diagonal_energy[-1].item<double>() == Approx(1).epsilon(1e-12));
    const auto match = basis.vectors.mm(planted.t()).abs();
    CHECK((std::get<0>(match.max(1)) - 1).abs().max().item<double>() < 1e-12);
    CHECK((std::get<0>(match.max(0)) - 1).abs().max().item<double>() < 1e-12);
  }
}

TEST_CASE("under noise the planted basis is still found, and the iteration improves on its start") {
  at::Tensor planted;
  auto layer = commuting_layer(6, 17, 17, 80, planted);
  const auto clean = slow_matrices(layer, at::eye(6, at::kDouble));
  const auto noise = random_layer(40, 17, 6, true, 81);
  const auto noisy = subtract(layer, noise);
  const auto basis = solve(noisy, config(17));
  check_invariants(basis, slow_matrices(noisy, at::eye(6, at::kDouble)));
  CHECK(basis.converged);
  const auto match = std::get<0>(basis.vectors.mm(planted.t()).abs().max(1));
  CHECK(match.mean().item<double>() > 0.9);
  CHECK(basis.history[-1].item<double>() > basis.history[0].item<double>() * 1.001);
  // All starts are one answer, and a better one than the planted basis itself.
  CHECK(basis.start_objectives.min().item<double>() > 0.999 * basis.objective);
  const auto at_planted = noisy.forward(planted).square().sum().item<double>();
  CHECK(basis.objective >= at_planted * (1 - 1e-12));
}

TEST_CASE("cross terms grow with the noise, up to those of a generic layer") {
  at::Tensor planted;
  const auto layer = commuting_layer(6, 17, 17, 80, planted);
  const auto noise = random_layer(40, 17, 6, true, 81);
  const auto norm = [](const BilinearLayer& of) {
    return slow_matrices(of, at::eye(6, at::kDouble)).norm().item<double>();
  };
  const auto off_diagonal = [&](double share) {
    auto part = noise;
    part.down = noise.down * (share * norm(layer) / norm(noise));
    return solve(subtract(layer, part), config(17)).off_diagonal;
  };
  CHECK(off_diagonal(0.05) < 0.004);  // .0018: (1 − 2/18) of .05² of the energy, less what the basis follows
  CHECK(off_diagonal(0.3) < 0.1);     // .060
  const double equal = off_diagonal(1.0);  // .34
  CHECK(equal > 0.3);
  CHECK(equal < 0.5);
  for (const uint64_t seed : {82, 83, 84}) {
    const double generic = solve(random_layer(40, 17, 6, true, seed), config(17)).off_diagonal;
    CHECK(generic > 0.37);  // .39 to .43
    CHECK(generic < 0.45);
  }
}

TEST_CASE("a generic layer has no joint basis, and none is claimed") {
  const auto layer = random_layer(50, 20, 12, true, 90);
  const auto basis = solve(layer, config(20));
  check_invariants(basis, slow_matrices(layer, at::eye(12, at::kDouble)));
  CHECK(basis.full_energy == Approx(1).epsilon(1e-12));  // all of the space
  CHECK(basis.off_diagonal > 0.5);
  CHECK(basis.diagonal_energy[-1].item<double>() < 0.5);
  auto short_run = config(20);
  short_run.max_iterations = 2;
  CHECK_FALSE(solve(layer, short_run).converged);
}

TEST_CASE("the joint basis of one output is its eigenbasis") {
  const auto layer = random_layer(15, 9, 1, true, 91);
  const auto basis = solve(layer, config(4));
  const auto b = slow_matrices(layer, at::eye(1, at::kDouble));
  check_invariants(basis, b);
  const auto values = std::get<0>(at::linalg_eigh(b[0]));
  const auto top = values.index_select(0, std::get<1>(values.abs().topk(4)));
  CHECK((basis.values[0] - top).abs().max().item<double>() < 1e-9);
}

TEST_CASE("with directions, an embedding and a layer without down projection") {
  auto layer = random_layer(8, 6, 8, false, 92);
  const auto u = random_tensor({3, 8}, 93), embed = random_tensor({6, 10}, 94);
  const auto basis = diagonalize_jointly({layer, embed, u}, at::kCPU, config(3));
  check_invariants(basis, slow_matrices(fold_input(layer, embed), u));
  check_invariants(solve(layer, config(2)), slow_matrices(layer, at::eye(8, at::kDouble)));
}

TEST_CASE("joint bases of degenerate layers") {
  auto layer = random_layer(9, 7, 3, true, 95);
  const auto expected = solve(layer, config(99));  // k beyond d
  REQUIRE(expected.vectors.size(0) == 7);
  for (const double scale : {1e30, 1e-30}) {
    auto scaled = layer;
    scaled.gate = layer.gate * scale;
    scaled.up = layer.up * scale;
    const auto basis = solve(scaled, config(99));
    check_invariants(basis, slow_matrices(scaled, at::eye(3, at::kDouble)));
    CHECK(basis.off_diagonal == Approx(expected.off_diagonal).epsilon(1e-6));
  }
  auto zero = layer;
  zero.gate = at::zeros_like(layer.gate);
  const auto nothing = solve(zero, config(3));
  check_invariants(nothing, at::zeros({3, 7, 7}, at::kDouble));
  CHECK(nothing.converged);
  CHECK(nothing.diagonal_energy.eq(1).all().item<bool>());
  CHECK(nothing.off_diagonal == 0.0);
  layer.down[0][0] = std::numeric_limits<double>::infinity();
  CHECK_THROWS_AS(solve(layer, config(2)), Error);
}

}  // namespace bilens::joint_test
