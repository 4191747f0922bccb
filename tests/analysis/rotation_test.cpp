#include "bilens/analysis/factors/rotation.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <vector>

#include "bilens/core/error.h"
#include "catch.h"
#include "layers.h"

namespace bilens::rotation_test {

using namespace bilens::test;

namespace {

/// Eigenpairs as they would be found: X [n, k, d], θ [n, k].
EigenPairs pairs_of(const at::Tensor& vectors, const at::Tensor& values) {
  EigenPairs pairs;
  pairs.eigenvectors = vectors;
  pairs.eigenvalues = values;
  pairs.frobenius = values.to(at::kDouble).norm(2, {1});
  return pairs;
}

at::Tensor random_rotation(int64_t k, uint64_t seed) {
  return std::get<0>(at::linalg_qr(random_tensor({k, k}, seed)));
}

/// k orthonormal vectors of s entries on disjoint supports.
at::Tensor disjoint_vectors(int64_t k, int64_t s, int64_t d, uint64_t seed) {
  auto x = at::zeros({k, d}, at::kDouble);
  for (int64_t r = 0; r < k; ++r) {
    const auto entries = random_tensor({s}, seed + static_cast<uint64_t>(r));
    x[r].narrow(0, r * (s + 1), s).copy_(entries / entries.norm());
  }
  return x;
}

/// Orthogonality to 1e-12 as for eigenvectors; the rest is the same numbers in another order of operations.
void check_invariants(const RotatedBasis& basis, const EigenPairs& pairs) {
  const int64_t k = basis.vectors.size(1);
  const auto x = pairs.eigenvectors.to(at::kDouble);
  const auto eye = at::eye(k, at::kDouble);
  CHECK((basis.rotation.matmul(basis.rotation.mT()) - eye).abs().max().item<double>() < 1e-12);
  CHECK((basis.rotation.matmul(x) - basis.vectors).abs().max().item<double>() < 1e-13);
  CHECK((basis.vectors.pow(4).sum(at::IntArrayRef{1, 2}) - basis.objective).abs().max().item<double>() <
        1e-12);
  CHECK(basis.objective.ge(basis.start_objective * (1 - 1e-13)).all().item<bool>());
  const auto& z = basis.vectors;
  CHECK(z.gather(2, z.abs().argmax(2, true)).gt(0).all().item<bool>());
  const auto size = basis.values.abs();
  if (k > 1) CHECK(size.diff(1, 1).le(1e-12 * size.max()).all().item<bool>());
  // The form is the same one: xᵀΘx in the old basis, OΘOᵀ in the new.
  const auto core =
      basis.rotation.matmul(pairs.eigenvalues.to(at::kDouble).unsqueeze(2) * basis.rotation.mT());
  CHECK((core.diagonal(0, 1, 2) - basis.values).abs().max().item<double>() <
        1e-12 * pairs.eigenvalues.abs().max().item<double>());
  const auto kept = basis.values.square().sum(1) / core.square().sum(at::IntArrayRef{1, 2});
  CHECK((1 - kept - basis.energy.off_diagonal).abs().max().item<double>() < 1e-12);
}

}  // namespace

TEST_CASE("a rotation by hand") {
  // (1, ±1)/√2 turn into e1 and e2: ‖·‖₄⁴ from 4·¼ = 1 to 2. With θ = (1, −1) the core is [[0, 1], [1, 0]].
  const auto x = at::tensor({1.0, 1.0, 1.0, -1.0}, at::kDouble).view({1, 2, 2}) / std::sqrt(2.0);
  const auto pairs = pairs_of(x, at::tensor({1.0, -1.0}, at::kDouble).view({1, 2}));
  const auto basis = rotate_eigenspaces(pairs, at::kCPU, {});
  check_invariants(basis, pairs);
  CHECK(basis.objective.item<double>() == Approx(2).epsilon(1e-13));
  CHECK(basis.start_objective.item<double>() == Approx(1).epsilon(1e-13));
  CHECK(basis.values.abs().max().item<double>() < 1e-12);
  CHECK(basis.energy.off_diagonal.item<double>() == Approx(1).epsilon(1e-12));
  CHECK(basis.energy.full[0][1].item<double>() == Approx(1).epsilon(1e-12));
}

TEST_CASE("the sparse basis of a planted eigenspace is found, from every hiding place") {
  const int64_t k = 6, s = 5, d = 41, n = 12;
  const auto planted = disjoint_vectors(k, s, d, 20);
  std::vector<at::Tensor> hidden;
  for (uint64_t i = 0; i < n; ++i) hidden.push_back(random_rotation(k, 40 + i).mm(planted));
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    const auto pairs = pairs_of(at::stack(hidden).to(dtype), at::full({n, k}, 2.0, at::kDouble));
    const auto basis = rotate_eigenspaces(pairs, at::kCPU, {});
    CHECK(basis.converged.all().item<bool>());
    if (dtype == at::kDouble) check_invariants(basis, pairs);
    // Each planted vector is one of the found ones: a permutation up to sign. The iteration stops within
    // 1e-9.
    const auto match = basis.vectors.matmul(planted.t()).abs();
    const double tolerance = dtype == at::kDouble ? 1e-9 : 1e-5;
    CHECK((std::get<0>(match.max(1)) - 1).abs().max().item<double>() < tolerance);
    CHECK((std::get<0>(match.max(2)) - 1).abs().max().item<double>() < tolerance);
    CHECK(basis.vectors.abs().gt(1e-4).sum(2).le(s).all().item<bool>());
    // One eigenvalue: the core stays diagonal.
    CHECK(basis.energy.off_diagonal.abs().max().item<double>() < 1e-5);
    CHECK(basis.measure.participation.le(s + 1e-3).all().item<bool>());
  }
}

TEST_CASE("every start finds a planted sparse basis in a few steps") {
  for (const int64_t k : {4, 40}) {
    const auto planted = disjoint_vectors(k, 5, 6 * k + 3, 30);
    std::vector<at::Tensor> hidden;
    for (uint64_t i = 0; i < 4; ++i) hidden.push_back(random_rotation(k, 300 + i).mm(planted));
    const auto basis =
        rotate_eigenspaces(pairs_of(at::stack(hidden), at::ones({4, k}, at::kDouble)), at::kCPU, {});
    CAPTURE(k);
    CHECK(basis.agreeing.eq(8).all().item<bool>());
    CHECK(basis.iterations.le(15).all().item<bool>());  // 4 to 11
    CHECK((std::get<0>(basis.vectors.matmul(planted.t()).abs().max(1)) - 1).abs().max().item<double>() <
          1e-9);
  }
}

TEST_CASE("rotating across different eigenvalues is reported as cross terms") {
  const auto planted = disjoint_vectors(4, 4, 23, 50);
  const auto hidden = random_rotation(4, 51).mm(planted);
  const auto pairs =
      pairs_of(hidden.unsqueeze(0), at::tensor({4.0, 3.0, -2.0, 1.0}, at::kDouble).view({1, 4}));
  const auto basis = rotate_eigenspaces(pairs, at::kCPU, {});
  check_invariants(basis, pairs);
  CHECK(basis.measure.nonzeros.numel() == 4);
  CHECK(basis.measure.participation.max().item<double>() < 4.01);  // sparse it is
  CHECK(basis.energy.off_diagonal.item<double>() > 0.1);           // and no longer without cross terms
  CHECK(basis.energy.full[0][3].item<double>() == Approx(1).epsilon(1e-12));
  CHECK(basis.energy.diagonal[0][3].item<double>() ==
        Approx(1 - basis.energy.off_diagonal.item<double>()).epsilon(1e-12));
}

TEST_CASE("a random subspace has no sparse basis, and none is claimed") {
  const int64_t k = 5, d = 60;
  const auto x = std::get<0>(at::linalg_qr(random_tensor({d, k}, 60))).t().contiguous();
  const auto pairs = pairs_of(x.unsqueeze(0), at::ones({1, k}, at::kDouble));
  const auto basis = rotate_eigenspaces(pairs, at::kCPU, {});
  check_invariants(basis, pairs);
  // A Gaussian vector of d entries has the participation d/3; the best rotation of five gains little.
  CHECK(basis.measure.participation.min().item<double>() > 6);
  CHECK(basis.objective.item<double>() < k * 0.2);
}

TEST_CASE("in a subspace without a sparse basis starts take long, and end in different optima") {
  const int64_t k = 20, d = 60;
  for (const uint64_t seed : {160, 161, 162}) {
    CAPTURE(seed);
    const auto x = std::get<0>(at::linalg_qr(random_tensor({d, k}, seed))).t().contiguous();
    const auto basis =
        rotate_eigenspaces(pairs_of(x.unsqueeze(0), at::ones({1, k}, at::kDouble)), at::kCPU, {});
    CHECK(basis.iterations.item<int>() > 100);  // 210 to 275
    CHECK(basis.agreeing.item<int>() < 8);      // 2 to 5
  }
}

TEST_CASE("the polar iteration never lowers the objective") {
  const auto x = std::get<0>(at::linalg_qr(random_tensor({19, 7}, 61))).t().contiguous().unsqueeze(0);
  const auto pairs = pairs_of(x, at::ones({1, 7}, at::kDouble));
  RotationConfig config;
  config.starts = 1;
  double last = 0;
  for (config.max_iterations = 0; config.max_iterations < 30; ++config.max_iterations) {
    const double now = rotate_eigenspaces(pairs, at::kCPU, config).objective.item<double>();
    CHECK(now >= last * (1 - 1e-14));
    last = now;
  }
  config.max_iterations = 2;
  CHECK(rotate_eigenspaces(pairs, at::kCPU, config).converged.item<int>() ==
        0);  // a status, and an honest one
}

TEST_CASE("rotations do not depend on the order of directions") {
  const auto x = std::get<0>(at::linalg_qr(random_tensor({5, 21, 4}, 62))).mT().contiguous();
  const auto theta = random_tensor({5, 4}, 63);
  const auto basis = rotate_eigenspaces(pairs_of(x, theta), at::kCPU, {});
  const auto turned = rotate_eigenspaces(pairs_of(x.flip(0), theta.flip(0)), at::kCPU, {});
  const auto single = rotate_eigenspaces(pairs_of(x.narrow(0, 3, 1), theta.narrow(0, 3, 1)), at::kCPU, {});
  CHECK((basis.objective - turned.objective.flip(0)).abs().max().item<double>() < 1e-12);
  CHECK((basis.vectors - turned.vectors.flip(0)).abs().max().item<double>() < 1e-5);
  CHECK((basis.vectors[3] - single.vectors[0]).abs().max().item<double>() < 1e-5);
}

TEST_CASE("one start serves several directions") {
  const auto x = std::get<0>(at::linalg_qr(random_tensor({3, 21, 4}, 66))).mT().contiguous();
  const auto theta = random_tensor({3, 4}, 67);
  RotationConfig config;
  config.starts = 1;
  const auto basis = rotate_eigenspaces(pairs_of(x, theta), at::kCPU, config);
  check_invariants(basis, pairs_of(x, theta));
  for (int64_t i = 0; i < 3; ++i) {
    const auto alone =
        rotate_eigenspaces(pairs_of(x.narrow(0, i, 1), theta.narrow(0, i, 1)), at::kCPU, config);
    CHECK((basis.vectors[i] - alone.vectors[0]).abs().max().item<double>() < 1e-9);
  }
}

TEST_CASE("rotations of degenerate spectra") {
  const auto x = disjoint_vectors(3, 2, 11, 64).unsqueeze(0);
  const auto zero = rotate_eigenspaces(pairs_of(x, at::zeros({1, 3}, at::kDouble)), at::kCPU, {});
  CHECK(zero.energy.off_diagonal.item<double>() == 0.0);
  CHECK(zero.energy.diagonal.eq(1).all().item<bool>());
  for (const double scale : {1e30, 1e-30}) {
    const auto pairs = pairs_of(x, at::tensor({3.0, 2.0, 1.0}, at::kDouble).view({1, 3}) * scale);
    check_invariants(rotate_eigenspaces(pairs, at::kCPU, {}), pairs);
  }
  const auto whole = pairs_of(random_rotation(5, 65).unsqueeze(0), at::ones({1, 5}, at::kDouble));
  const auto basis = rotate_eigenspaces(whole, at::kCPU, {});  // k = d: the coordinates themselves
  CHECK(basis.objective.item<double>() == Approx(5).epsilon(1e-12));
  auto without = pairs_of(x, at::ones({1, 3}, at::kDouble));
  without.frobenius.reset();
  CHECK_FALSE(rotate_eigenspaces(without, at::kCPU, {}).energy.diagonal.defined());
  without.eigenvectors = x * std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_AS(rotate_eigenspaces(without, at::kCPU, {}), Error);
}

}  // namespace bilens::rotation_test
