#include "bilens/analysis/eigen/lanczos.h"

#include <ATen/ATen.h>

#include "bilens/tensor/device.h"
#include "catch.h"
#include "layers.h"

namespace bilens::lanczos_test {

using namespace bilens::test;

namespace {

/// X diag(λ) Xᵀ for each row of eigenvalues, X one random orthonormal basis a matrix.
at::Tensor matrices_with(const at::Tensor& eigenvalues, uint64_t seed) {
  const int64_t n = eigenvalues.size(0), r = eigenvalues.size(1);
  const auto x = std::get<0>(at::linalg_qr(random_tensor({n, r, r}, seed)));
  const auto q = (x * eigenvalues.unsqueeze(1)).matmul(x.mT());
  return (q + q.mT()) * 0.5;
}

SymmetricOperators operators_of(const at::Tensor& matrices, int64_t* products = nullptr) {
  return [=](const at::Tensor& x, const at::Tensor& which) {
    if (products != nullptr) *products += x.size(0);
    return matrices.index_select(0, which).matmul(x.unsqueeze(2)).squeeze(2);
  };
}

LanczosConfig config(int64_t wanted, double tolerance, int64_t basis = 192) {
  LanczosConfig made;
  made.wanted = wanted;
  made.tolerance = tolerance;
  made.basis = basis;
  return made;
}

at::Tensor by_size(const at::Tensor& values) { return values.gather(1, values.abs().argsort(true, 1, true)); }

/// ‖QX − XΘ‖ over |θ₁|, worst.
double worst_residual(const at::Tensor& matrices, const RitzPairs& pairs, int64_t k) {
  const auto x = pairs.vectors.narrow(1, 0, k).to(at::kDouble), theta = pairs.values.narrow(1, 0, k);
  const auto residual = (x.matmul(matrices) - theta.unsqueeze(2) * x).norm(2, {2});
  return (residual / theta.abs().amax(1, true)).max().item<double>();
}

double worst_overlap(const RitzPairs& pairs) {
  const auto gram = pairs.vectors.matmul(pairs.vectors.mT()).to(at::kDouble);
  return (gram - at::eye(gram.size(1), gram.options())).abs().max().item<double>();
}

}  // namespace

TEST_CASE("Lanczos finds the outermost eigenpairs of a flat spectrum, with and without restarts") {
  const int64_t r = 211, n = 3, k = 6;
  const auto spectrum = random_tensor({n, r}, 1);
  const auto q = matrices_with(spectrum, 2);
  const auto expected = by_size(spectrum).narrow(1, 0, k);
  for (const int64_t basis : {int64_t{192}, int64_t{24}}) {
    const auto pairs = lanczos(operators_of(q), n, random_tensor({r}, 3), {}, config(k, 1e-11, basis));
    INFO("basis " << basis);
    CHECK(pairs.converged.all().item<bool>());
    CHECK((pairs.values.narrow(1, 0, k) - expected).abs().max().item<double>() < 1e-11);
    CHECK(worst_residual(q, pairs, k) < 1e-10);
    CHECK(worst_overlap(pairs) < 1e-12);
  }
}

TEST_CASE("Lanczos in float32 keeps its basis orthogonal") {
  const int64_t r = 300, n = 4, k = 8;
  const auto spectrum = random_tensor({n, r}, 4);
  const auto q = matrices_with(spectrum, 5);
  const auto pairs = lanczos(operators_of(q.to(at::kFloat)), n, random_tensor({r}, 6).to(at::kFloat), {},
                             config(k, 2e-6, 60));
  CHECK(pairs.converged.all().item<bool>());
  CHECK(worst_residual(q, pairs, k) < 5e-6);
  CHECK(worst_overlap(pairs) < 1e-5);
}

TEST_CASE("each direction stops when it is done") {
  // One spectrum that falls fast, one that is flat: the first leaves the batch early.
  const int64_t r = 150;
  const auto fast = at::arange(r, at::kDouble).mul(-0.3).exp(), flat = random_tensor({r}, 7);
  const auto q = matrices_with(at::stack({fast, flat}), 8);
  int64_t products = 0;
  const auto pairs = lanczos(operators_of(q, &products), 2, random_tensor({r}, 9), {}, config(5, 1e-9));
  CHECK(pairs.converged.all().item<bool>());
  CHECK(pairs.columns[0].item<int>() < pairs.columns[1].item<int>() / 2);
  CHECK(products == pairs.columns.sum().item<int64_t>());
  const auto alone = lanczos(operators_of(q.narrow(0, 1, 1)), 1, random_tensor({r}, 9), {}, config(5, 1e-9));
  CHECK(alone.columns[0].item<int>() == pairs.columns[1].item<int>());
  CHECK((alone.values[0] - pairs.values[1]).abs().max().item<double>() < 1e-12);
}

TEST_CASE("exhausted Krylov spaces go on: rank one, zero, the whole space") {
  const int64_t r = 17;
  auto spectrum = at::zeros({2, r}, at::kDouble);
  spectrum[0][3] = -2.0;
  const auto q = matrices_with(spectrum, 10);
  const auto pairs = lanczos(operators_of(q), 2, random_tensor({r}, 11), {}, config(r, 1e-12));
  REQUIRE(pairs.values.size(1) == r);
  CHECK(pairs.converged.all().item<bool>());
  CHECK(pairs.values[0][0].item<double>() == Approx(-2.0).epsilon(1e-13));
  CHECK(pairs.values[0].narrow(0, 1, r - 1).abs().max().item<double>() < 1e-13);
  CHECK(pairs.values[1].abs().max().item<double>() < 1e-13);
  CHECK(worst_overlap(pairs) < 1e-12);
}

TEST_CASE("locked vectors are deflated") {
  const int64_t r = 90;
  const auto spectrum = random_tensor({1, r}, 12);
  const auto q = matrices_with(spectrum, 13);
  const auto first = lanczos(operators_of(q), 1, random_tensor({r}, 14), {}, config(4, 1e-12));
  const auto locked = first.vectors.narrow(1, 0, 4).contiguous();
  const auto next = lanczos(operators_of(q), 1, random_tensor({r}, 15), locked, config(3, 1e-10));
  CHECK((next.values.narrow(1, 0, 3) - by_size(spectrum).narrow(1, 4, 3)).abs().max().item<double>() < 1e-10);
  CHECK(next.vectors[0].mm(locked[0].t()).abs().max().item<double>() < 1e-10);
}

TEST_CASE("not converging is a status") {
  const auto q = matrices_with(random_tensor({1, 400}, 16), 17);
  auto few = config(10, 1e-12);
  few.columns = 20;
  const auto pairs = lanczos(operators_of(q), 1, random_tensor({400}, 18), {}, few);
  CHECK(pairs.converged.item<int>() == 0);
  CHECK(pairs.columns.item<int>() == 20);
  CHECK(pairs.values.isfinite().all().item<bool>());
}

TEST_CASE("as many columns as are stated show an eigenvalue but for the stated probability") {
  CHECK(columns_to_see(256, 0.1, 1e-3) == 25);  // by hand from the formula
  CHECK(columns_to_see(2048, 0.1, 1e-3) == 27);
  CHECK(columns_to_see(2048, 0.1, 4e-6) == 40);
  CHECK(columns_to_see(5, 0.1, 1e-3) == 5);
  // The worst that may be missed: alone at 1.1, beside a spectrum that is dense up to 1, from many starts.
  const int64_t r = 200, n = 400;
  auto diagonal = at::linspace(-1.0, 1.0, r, at::kDouble);
  diagonal[r - 1] = 1.1;
  const SymmetricOperators q = [&](const at::Tensor& x, const at::Tensor&) { return x * diagonal; };
  const auto missed = [&](int64_t columns) {
    auto few = config(1, 0.0, columns);
    few.guards = 0;
    few.columns = columns;
    return lanczos(q, n, random_tensor({n, r}, 7), {}, few).values.select(1, 0).le(1.0).sum().item<int64_t>();
  };
  CHECK(missed(columns_to_see(r, 0.1, 0.05)) <= n / 20);
  CHECK(missed(3) > n / 2);  // so few do miss it
}

}  // namespace bilens::lanczos_test
