#include "bilens/analysis/factors/sparse_eigen.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "bilens/core/error.h"
#include "bilens/tensor/device.h"
#include "catch.h"
#include "layers.h"

namespace bilens::sparse_eigen_test {

using namespace bilens::test;

namespace {

SparseEigenConfig config(std::vector<int64_t> sparsity, int64_t k, at::ScalarType dtype = at::kDouble) {
  SparseEigenConfig made;
  made.sparsity = std::move(sparsity);
  made.k = k;
  made.dtype = dtype;
  return made;
}

SparseEigenPairs solve(const BilinearLayer& layer, const SparseEigenConfig& sparse,
                       const at::Tensor& u = {}) {
  const auto path = solve_sparse_eigen({layer, {}, u}, at::kCPU, sparse);
  REQUIRE(path.size() == 1);
  return path[0];
}

/// What holds of any result. `q` [n, d, d] are the matrices; values are of the stored vectors, so rounding
/// alone separates them from xᵀQx: 1e-12 of the norm.
void check_invariants(const SparseEigenPairs& pairs, const at::Tensor& q) {
  const auto x = pairs.vectors.to(at::kDouble);
  CHECK(x.ne(0).sum(2).le(pairs.sparsity).all().item<bool>());
  const auto norms = x.norm(2, {2});
  const double eps = machine_epsilon(pairs.vectors.scalar_type());
  CHECK(norms.sub(1).abs().le(10 * eps).logical_or(norms.eq(0)).all().item<bool>());
  CHECK(x.gather(2, x.abs().argmax(2, true)).ge(0).all().item<bool>());
  const double size = std::max(q.norm().item<double>(), 1e-300);
  CHECK(((x.matmul(q) * x).sum(2) - pairs.values).abs().max().item<double>() <= 1e-12 * size);
  const auto& energy = pairs.energy;
  CHECK(energy.diagonal.le(energy.full + 1e-10).all().item<bool>());
  CHECK(energy.full.le(1 + 1e-10).all().item<bool>());
  CHECK(pairs.converged.all().item<bool>());
}

/// A layer with an output for each interaction matrix.
BilinearLayer layer_of(const std::vector<at::Tensor>& matrices) {
  const auto d = matrices.front().size(0), m = static_cast<int64_t>(matrices.size());
  BilinearLayer layer;
  layer.gate = at::eye(d, at::kDouble).repeat({m, 1});
  layer.up = at::cat(matrices);
  layer.down = at::eye(m, at::kDouble).repeat_interleave(d, 1);
  return layer;
}

BilinearLayer layer_of(const at::Tensor& q) { return layer_of(std::vector<at::Tensor>{q}); }

at::Tensor unit(const at::Tensor& x) { return x / x.norm(); }

at::Tensor random_symmetric(int64_t d, uint64_t seed) {
  const auto m = random_tensor({d, d}, seed);
  return (m + m.t()) * 0.5;
}

/// The largest |xᵀQx| over unit x of s nonzero entries: every support.
double best_of_all_supports(const at::Tensor& q, int64_t s) {
  const auto supports = at::combinations(at::arange(q.size(0), at::kLong), s);
  const auto blocks = q.index({supports.unsqueeze(2), supports.unsqueeze(1)});
  return at::linalg_eigvalsh(blocks).abs().max().item<double>();
}

}  // namespace

TEST_CASE("sparse eigenvectors by hand") {
  // Q = [[2, 0, 0], [0, 0, 3], [0, 3, 0]]: one entry: ±e1 with 2 (the diagonal is all that counts); two: ±3
  // on (e2, e3).
  const auto q = at::tensor({2.0, 0.0, 0.0, 0.0, 0.0, 3.0, 0.0, 3.0, 0.0}).to(at::kDouble).view({3, 3});
  const auto path = solve_sparse_eigen({layer_of(q), {}, {}}, at::kCPU, config({1, 2}, 3));
  REQUIRE(path.size() == 2);
  for (const auto& pairs : path) check_invariants(pairs, q.unsqueeze(0));
  CHECK(path[0].values[0][0].item<double>() == Approx(2).epsilon(1e-14));
  CHECK(path[0].vectors[0][0].equal(at::tensor({1.0, 0.0, 0.0}, at::kDouble)));
  CHECK(
      path[0].values.narrow(1, 1, 2).eq(0).all().item<bool>());  // coordinates alone see nothing of the rest
  CHECK((path[1].values[0] - at::tensor({3.0, -3.0, 2.0}, at::kDouble)).abs().max().item<double>() < 1e-14);
  CHECK(path[1].energy.diagonal[0][2].item<double>() == Approx(1).epsilon(1e-14));
  CHECK(path[1].energy.total.item<double>() == Approx(22).epsilon(1e-14));
}

TEST_CASE("planted eigenvectors of disjoint supports are recovered exactly") {
  const int64_t d = 37, s = 5;
  const std::vector<double> planted = {-3.0, 2.5, 1.5, -1.0, 0.7};
  auto x = at::zeros({5, d}, at::kDouble);
  for (int64_t r = 0; r < 5; ++r) x[r].narrow(0, 7 * r, s).copy_(unit(random_tensor({s}, 60 + r)));
  BilinearLayer layer;
  layer.gate = layer.up = x;
  layer.down = at::tensor(planted, at::kDouble).view({1, 5});
  const auto q = slow_matrices(layer, at::ones({1, 1}, at::kDouble));
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    const auto pairs = solve(layer, config({s}, 6, dtype));
    check_invariants(pairs, q);
    const auto found = pairs.vectors[0].to(at::kDouble).narrow(0, 0, 5);
    CHECK(found.ne(0).equal(x.ne(0)));  // the supports themselves
    const auto sign = (found * x).sum(1, true).sign();
    CHECK((found - sign * x).abs().max().item<double>() < (dtype == at::kDouble ? 1e-13 : 1e-6));
    const auto values = pairs.values[0].narrow(0, 0, 5);
    CHECK((values - at::tensor(planted, at::kDouble)).abs().max().item<double>() <
          (dtype == at::kDouble ? 1e-13 : 1e-6));
    CHECK(pairs.values[0][5].item<double>() == 0.0);  // beyond the rank there is nothing
    CHECK(pairs.vectors[0][5].eq(0).all().item<bool>());
    CHECK(pairs.energy.diagonal[0][4].item<double>() == Approx(1).epsilon(1e-6));
    CHECK(pairs.energy.off_diagonal.item<double>() < 1e-6);
    // The same under noise a tenth as large as the smallest: supports still exact.
    const auto noisy = q[0] + 0.07 / std::sqrt(2.0 * d) * random_symmetric(d, 71);
    CHECK(solve(layer_of(noisy), config({s}, 5, dtype)).vectors[0].ne(0).equal(x.ne(0)));
  }
}

TEST_CASE("against all supports: never better, nearly always as good") {
  struct Case {
    int64_t d, s;
    int reached, plain;  // of 40, at least and at most: 40, 37, 35 and 13, 7, 3 with room for other rounding
  };
  for (const auto& [d, s, least, most] : {Case{10, 3, 38, 20}, Case{14, 4, 34, 14}, Case{18, 5, 32, 10}}) {
    CAPTURE(d, s);
    std::vector<at::Tensor> all;
    for (uint64_t seed = 0; seed < 40; ++seed) all.push_back(random_symmetric(d, 1000 + seed));
    const auto pairs = solve(layer_of(all), config({s}, 1));
    check_invariants(pairs, at::stack(all));
    int reached = 0, plain = 0;
    double worst = 1;
    for (size_t i = 0; i < all.size(); ++i) {
      const double best = best_of_all_supports(all[i], s);
      const double found = pairs.values[static_cast<int64_t>(i)].abs().item<double>();
      CHECK(found <= best * (1 + 1e-12));
      worst = std::min(worst, found / best);
      reached += found >= best * (1 - 1e-12) ? 1 : 0;
      // The leading eigenvector cut to its s largest entries, and the best vector of that support.
      const auto [values, vectors] = at::linalg_eigh(all[i]);
      const auto support = std::get<1>(vectors.t()[values.abs().argmax().item<int64_t>()].abs().topk(s));
      const auto cut = at::linalg_eigvalsh(all[i].index_select(0, support).index_select(1, support));
      plain += cut.abs().max().item<double>() >= best * (1 - 1e-12) ? 1 : 0;
    }
    CHECK(reached >= least);
    CHECK(plain <= most);  // so the search is what finds them
    CHECK(worst > 0.95);   // .96 at d = 18
  }
}

TEST_CASE("with all entries allowed they are the eigenvectors") {
  const auto layer = random_layer(23, 11, 3, true, 5);
  const auto q = slow_matrices(layer, at::eye(3, at::kDouble));
  const auto pairs = solve(layer, config({11}, 4));
  check_invariants(pairs, q);
  const auto values = std::get<0>(at::linalg_eigh(q));
  const auto expected = values.gather(1, values.abs().argsort(true, 1, true)).narrow(1, 0, 4);
  CHECK((pairs.values - expected).abs().max().item<double>() < 1e-12);
  // Orthogonal components: the projection's energy is the sum of squares.
  const auto share = expected.square().cumsum(1) / q.square().sum(at::IntArrayRef{1, 2}).unsqueeze(1);
  CHECK((pairs.energy.diagonal - share).abs().max().item<double>() < 1e-11);
  CHECK((pairs.energy.full - share).abs().max().item<double>() < 1e-11);
}

TEST_CASE("energies are those of least squares and of the projection, not sums of parts") {
  const auto layer = random_layer(17, 13, 2, true, 6);
  const auto q = slow_matrices(layer, at::eye(2, at::kDouble));
  const auto pairs = solve(layer, config({4}, 3));
  check_invariants(pairs, q);
  for (int64_t i = 0; i < 2; ++i) {
    const auto x = pairs.vectors[i].to(at::kDouble);
    for (int64_t j = 1; j <= 3; ++j) {
      const auto some = x.narrow(0, 0, j);
      const auto atoms = (some.unsqueeze(2) * some.unsqueeze(1)).reshape({j, -1}).t();
      const auto fit = atoms.mm(at::linalg_pinv(atoms)).mv(q[i].flatten());
      const double whole = q[i].square().sum().item<double>();
      CHECK(pairs.energy.diagonal[i][j - 1].item<double>() ==
            Approx(fit.square().sum().item<double>() / whole).epsilon(1e-11));
      const auto projector = at::linalg_pinv(some).mm(some);
      CHECK(pairs.energy.full[i][j - 1].item<double>() ==
            Approx(projector.mm(q[i]).mm(projector).square().sum().item<double>() / whole).epsilon(1e-11));
    }
  }
}

TEST_CASE("a random layer is not called sparse") {
  const auto layer = random_layer(60, 40, 2, true, 7);
  const auto pairs = solve(layer, config({4}, 4));
  check_invariants(pairs, slow_matrices(layer, at::eye(2, at::kDouble)));
  // 4 of 40 entries hold some 10² of 40² pairs at best: four such blocks hold a few per cent.
  CHECK(pairs.energy.diagonal.select(1, 3).max().item<double>() < 0.2);
}

TEST_CASE("along a path the first component's value never falls") {
  const auto layer = random_layer(31, 19, 3, true, 8);
  const auto path = solve_sparse_eigen({layer, {}, {}}, at::kCPU, config({7, 2, 19, 4, 4, 12, 50}, 3));
  REQUIRE(path.size() == 5);  // ascending, clipped to d, without repetition
  CHECK(path[4].sparsity == 19);
  for (size_t i = 0; i < path.size(); ++i) {
    check_invariants(path[i], slow_matrices(layer, at::eye(3, at::kDouble)));
    if (i == 0) continue;
    const auto before = path[i - 1].values.select(1, 0).abs(), now = path[i].values.select(1, 0).abs();
    CHECK(now.ge(before * (1 - 1e-13)).all().item<bool>());
  }
}

TEST_CASE("the truncated power method never lowers the value, and says when it was cut short") {
  const auto layer = random_layer(31, 29, 4, true, 9);
  auto steps = config({5}, 1);
  steps.starts = 1;
  auto last = at::zeros({4, 1}, at::kDouble);
  for (steps.max_iterations = 0; steps.max_iterations < 20; ++steps.max_iterations) {
    const auto pairs = solve(layer, steps);
    CHECK(pairs.objective.ge(last * (1 - 1e-14)).all().item<bool>());
    last = pairs.objective;
    if (steps.max_iterations == 0) CHECK_FALSE(pairs.converged.any().item<bool>());
  }
  CHECK(solve(layer, steps).converged.all().item<bool>());
}

TEST_CASE("sparse eigenvectors depend neither on chunks nor on the order of directions") {
  const auto layer = random_layer(31, 19, 8, true, 12);
  const auto u = random_tensor({7, 8}, 13);
  auto one_by_one = config({4}, 3);
  one_by_one.memory_limit = 1;
  const auto whole = solve(layer, config({4}, 3), u), chunked = solve(layer, one_by_one, u),
             turned = solve(layer, config({4}, 3), u.flip(0));
  CHECK((whole.vectors - chunked.vectors).abs().max().item<double>() < 1e-12);
  CHECK((whole.vectors - turned.vectors.flip(0)).abs().max().item<double>() < 1e-12);
  CHECK((whole.energy.full - turned.energy.full.flip(0)).abs().max().item<double>() < 1e-12);
}

TEST_CASE("over the input, sparse in the input's entries") {
  const auto layer = random_layer(14, 6, 3, true, 14);
  const auto embed = random_tensor({6, 15}, 15);
  const auto through = solve_sparse_eigen({layer, embed, {}}, at::kCPU, config({3}, 2))[0];
  const auto direct = solve(fold_input(layer, embed), config({3}, 2));
  CHECK((through.values - direct.values).abs().max().item<double>() < 1e-11);
  CHECK((through.vectors - direct.vectors).abs().max().item<double>() < 1e-11);
}

TEST_CASE("sparse eigenvectors of degenerate layers") {
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    auto layer = random_layer(6, 5, 2, true, 1);
    const auto u = at::cat({at::zeros({1, 2}, at::kDouble), random_tensor({1, 2}, 2)});
    const auto mixed = solve(layer, config({2}, 9, dtype), u);  // u = 0, k beyond d
    REQUIRE(mixed.values.size(1) == 5);
    check_invariants(mixed, slow_matrices(layer, u));
    CHECK(mixed.values[0].eq(0).all().item<bool>());
    CHECK(mixed.energy.diagonal[0].eq(1).all().item<bool>());
    CHECK(mixed.energy.off_diagonal[0].item<double>() == 0.0);

    const auto expected = solve(layer, config({2}, 3, dtype));
    for (const double scale : {1e30, 1e-30}) {
      auto scaled = layer;
      scaled.gate = layer.gate * scale;
      scaled.down = layer.down * scale;
      const auto pairs = solve(scaled, config({2}, 3, dtype));
      CHECK((pairs.vectors - expected.vectors).abs().max().item<double>() < 1e-6);
      CHECK((pairs.values / (scale * scale) - expected.values).abs().max().item<double>() < 1e-6);
      CHECK(pairs.energy.total.isfinite().all().item<bool>());
    }
    layer.up[0][0] = std::numeric_limits<double>::quiet_NaN();
    CHECK_THROWS_AS(solve(layer, config({2}, 2, dtype)), Error);
  }
}

}  // namespace bilens::sparse_eigen_test
