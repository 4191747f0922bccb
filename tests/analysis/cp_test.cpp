#include "bilens/analysis/factors/cp.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "bilens/analysis/factors/method.h"
#include "bilens/analysis/forms/difference.h"
#include "bilens/core/error.h"
#include "catch.h"
#include "caught.h"
#include "factors/cp_fit.h"
#include "factors/cp_start.h"
#include "forms/directed_layer.h"
#include "layers.h"

namespace bilens::cp_test {

using namespace bilens::test;

namespace {

CpConfig config(int64_t rank) {
  CpConfig made;
  made.rank = rank;
  return made;
}

CpDecomposition solve(const BilinearLayer& layer, const CpConfig& cp, const at::Tensor& u = {}) {
  return decompose_cp({layer, {}, u}, at::kCPU, cp);
}

/// The layer that a decomposition is.
BilinearLayer layer_of(const CpDecomposition& cp) { return *approximate_layer(to_factors(cp, at::kDouble)); }

at::Tensor matrices(const BilinearLayer& layer) {
  return slow_matrices(layer, at::eye(layer.d_out(), at::kDouble));
}

/// R terms as a layer of R hidden units.
BilinearLayer terms_layer(int64_t rank, int64_t d, int64_t m, uint64_t seed) {
  BilinearLayer layer;
  layer.gate = random_tensor({rank, d}, seed);
  layer.up = random_tensor({rank, d}, seed + 1);
  layer.down = random_tensor({m, rank}, seed + 2);
  return layer;
}

/// The same tensor with more hidden units: each term thrice, W and V exchanged and scaled, P's shares summing
/// to one, and pairs of units that cancel.
BilinearLayer hide(const BilinearLayer& layer, uint64_t seed) {
  const int64_t h = layer.d_hidden();
  const auto a = random_tensor({h, 1}, seed), b = random_tensor({h, 1}, seed + 1) + 3;
  const auto noise = random_layer(4, layer.d_in(), layer.d_out(), true, seed + 2);
  BilinearLayer hidden;
  hidden.gate = at::cat({layer.gate * b, layer.up, layer.gate * -2, noise.gate, noise.up * 2});
  hidden.up = at::cat({layer.up / b, layer.gate, layer.up * -0.5, noise.up, noise.gate * 0.5});
  hidden.down = at::cat(
      {layer.down * a.t(), layer.down * 0.25, layer.down * (0.75 - a.t()), noise.down, -noise.down}, 1);
  return hidden.to(at::kDouble, at::kCPU);
}

/// The largest distance of a planted term from the found one nearest to it, relative: terms as m×d×d numbers,
/// for which no gauge matters.
double worst_term(const BilinearLayer& planted, const CpDecomposition& cp) {
  const auto expand = [](const BilinearLayer& layer) {
    const auto outer = layer.gate.unsqueeze(2) * layer.up.unsqueeze(1);
    const auto form = (outer + outer.mT()) * 0.5;
    return (layer.down.t().unsqueeze(2).unsqueeze(3) * form.unsqueeze(1)).flatten(1);
  };
  const auto expected = expand(planted), found = expand(layer_of(cp));
  const auto distance = at::cdist(expected, found) / expected.norm(2, {1}, true);
  return std::get<0>(distance.min(1)).max().item<double>();
}

/// ½aᵀΓa − k·a + μ Σ|a|.
double penalised_objective(const at::Tensor& gram, const at::Tensor& products, double mu,
                           const at::Tensor& a) {
  return (0.5 * a.dot(gram.mv(a)) - products.dot(a) + mu * a.abs().sum()).item<double>();
}

/// Its minimum over three weights: the least of the stationary points of all sign patterns.
double least_penalised(const at::Tensor& gram, const at::Tensor& products, double mu, bool nonnegative) {
  double least = 0;
  for (int pattern = 1; pattern < 27; ++pattern) {
    std::vector<int64_t> rows;
    std::vector<double> signs;
    for (int64_t r = 0, code = pattern; r < 3; ++r, code /= 3) {
      if (code % 3 == 0) continue;
      rows.push_back(r);
      signs.push_back(code % 3 == 1 ? 1.0 : -1.0);
    }
    const auto free = at::tensor(rows, at::kLong), sign = at::tensor(signs, at::kDouble);
    if (nonnegative && sign.lt(0).any().item<bool>()) continue;
    const auto part = at::linalg_solve(gram.index_select(0, free).index_select(1, free),
                                       products.index_select(0, free) - mu * sign);
    if (part.sign().ne(sign).any().item<bool>()) continue;
    least = std::min(
        least, penalised_objective(gram, products, mu, at::zeros({3}, at::kDouble).index_put({free}, part)));
  }
  return least;
}

/// What holds of any result. Tolerances: sums of a few hundred products; ‖B − M‖² is a difference of numbers
/// of the size of ‖B‖².
void check_invariants(const CpDecomposition& cp, const BilinearLayer& layer) {
  const auto b = matrices(layer), m = matrices(layer_of(cp));
  const double total = b.square().sum().item<double>();
  CHECK(cp.left.norm(2, {1}).sub(1).abs().max().item<double>() < 1e-12);
  CHECK(cp.right.norm(2, {1}).sub(1).abs().max().item<double>() < 1e-12);
  CHECK(cp.left.gather(1, cp.left.abs().argmax(1, true)).gt(0).all().item<bool>());
  CHECK(cp.history.diff().le(1e-13 * total).all().item<bool>());
  if (total == 0) return;
  CHECK(cp.total == Approx(total).epsilon(1e-12));
  const double error = (b - m).square().sum().item<double>() / total;
  // Terms that nearly cancel each other cost digits: eps times Γ's condition number, times 100.
  const double rounding = 1e-12 + 100 * 2.2e-16 * cp.condition;
  CHECK(std::abs(cp.energy - (1 - error)) < rounding);
  CHECK(std::abs(cp.objective / total - (1 - cp.diagonal_energy[-1].item<double>())) < rounding);
  CHECK(cp.energy <= cp.diagonal_energy[-1].item<double>() + rounding);
  CHECK(cp.diagonal_energy[-1].item<double>() <= cp.full_energy + rounding);
  CHECK(cp.full_energy <= 1 + 1e-11);
  CHECK(cp.diagonal_energy.diff().ge(-1e-12).all().item<bool>());
}

}  // namespace

TEST_CASE("a CP decomposition by hand") {
  // y1 = 2·x1x2, y2 = x3²: the terms (e1, e2) with a = (2, 0) and (e3, e3) with a = (0, 1).
  BilinearLayer layer;
  layer.gate = at::tensor({1.0, 0.0, 0.0, 0.0, 0.0, 1.0}, at::kDouble).view({2, 3});
  layer.up = at::tensor({0.0, 1.0, 0.0, 0.0, 0.0, 1.0}, at::kDouble).view({2, 3});
  layer.down = at::tensor({2.0, 0.0, 0.0, 1.0}, at::kDouble).view({2, 2});
  const auto cp = solve(layer, config(2));
  check_invariants(cp, layer);
  CHECK(cp.converged());
  CHECK(worst_term(layer, cp) < 1e-12);
  CHECK((cp.outputs.abs() - layer.down).abs().max().item<double>() <
        1e-12);  // the larger norm first: √2 and 1
  CHECK(cp.condition == Approx(1).epsilon(1e-12));
  // ‖B‖² = 2²·½ + 1.
  CHECK(cp.total == Approx(3).epsilon(1e-14));
  CHECK(cp.diagonal_energy[0].item<double>() == Approx(2.0 / 3).epsilon(1e-6));
  const auto x = random_tensor({5, 3}, 1);
  CHECK((layer_of(cp).forward(x) - layer.forward(x)).abs().max().item<double>() < 1e-5);
}

TEST_CASE("a planted CP is found in an over-complete layer, nearly always") {
  // One start each: Jennrich's. The terms come back to 1e-7, the accuracy of a root of ‖B − M‖² in float64.
  int found = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto planted = terms_layer(5, 13, 6, 100 + 10 * seed);
    const auto layer = hide(planted, 500 + 10 * seed);
    CHECK((matrices(layer) - matrices(planted)).abs().max().item<double>() < 1e-11);
    auto one = config(5);
    one.starts = 1;
    const auto cp = solve(layer, one);
    check_invariants(cp, layer);
    found += cp.converged() && worst_term(planted, cp) < 1e-7 ? 1 : 0;
  }
  CHECK(found >= 19);
}

TEST_CASE("terms that are squares and terms that are products are told apart") {
  auto planted = terms_layer(5, 9, 4, 200);
  planted.up.narrow(0, 0, 3).copy_(planted.gate.narrow(0, 0, 3));  // three squares, two products: rank 7
  const auto cp = solve(hide(planted, 210), config(5));
  check_invariants(cp, planted);
  CHECK(worst_term(planted, cp) < 1e-7);
  const auto cosine = (cp.left * cp.right).sum(1).abs();
  CHECK(cosine.gt(1 - 1e-7).sum().item<int64_t>() == 3);
}

TEST_CASE("more terms than a compression can separate, from several starts") {
  // 2R = 16 exceeds d = 12: the planes overlap, and Jennrich's answer is only a start.
  const auto planted = terms_layer(8, 12, 10, 220);
  auto many = config(8);
  many.starts = 8;
  const auto cp = solve(planted, many);
  check_invariants(cp, planted);
  CHECK(cp.energy > 1 - 1e-9);
  CHECK(worst_term(planted, cp) < 1e-5);
}

TEST_CASE("under noise the planted terms are found as well as the noise allows") {
  const auto planted = terms_layer(4, 11, 6, 230);
  const auto noise = random_layer(30, 11, 6, true, 231);
  auto small = noise;
  const double size = matrices(planted).norm().item<double>() / matrices(noise).norm().item<double>();
  small.down = noise.down * (0.05 * size);
  const auto layer = subtract(planted, small);
  const auto cp = solve(layer, config(4));
  check_invariants(cp, layer);
  CHECK(cp.converged());
  CHECK(worst_term(planted, cp) < 0.2);
  CHECK(cp.objective <= matrices(small).square().sum().item<double>());  // better than the planted terms
  CHECK(cp.energy > 0.99);
}

TEST_CASE("a generic layer is not a few terms") {
  const auto layer = random_layer(60, 20, 10, true, 240);
  const auto cp = solve(layer, config(5));
  check_invariants(cp, layer);
  CHECK(cp.energy < 0.4);
  CHECK(cp.energy > 0.05);  // a projection onto five terms that were fitted is not nothing either
  auto short_run = config(5);
  short_run.max_iterations = 2;
  CHECK_FALSE(solve(layer, short_run).converged());
}

TEST_CASE("as many terms as hidden units, and more") {
  const auto layer = random_layer(6, 8, 4, true, 250);
  for (const int64_t rank : {int64_t{6}, int64_t{9}}) {
    const auto cp = solve(layer, config(rank));
    check_invariants(cp, layer);
    CHECK(cp.energy > 1 - 1e-7);
  }
  const auto single =
      random_layer(3, 7, 1, true, 251);  // one output: CP is not unique, but a sum of 3 products
  const auto cp = solve(single, config(3));
  check_invariants(cp, single);
  CHECK(cp.energy > 1 - 1e-7);
}

TEST_CASE("L1 and non-negativity are exact convex steps") {
  const auto layer = random_layer(30, 9, 7, true, 260);
  auto quick = config(6);  // of the same factors each time; how good they are does not matter here
  quick.starts = 1;
  quick.max_iterations = 40;
  const auto plain = solve(layer, quick);
  double last = 1;
  for (const double l1 : {0.05, 0.3, 1.0}) {
    auto penalised = quick;
    penalised.l1 = l1;
    const auto cp = solve(layer, penalised);
    check_invariants(cp, layer);
    CHECK(cp.energy < last);
    last = cp.energy;
    CHECK(cp.output_measure.nonzeros.sum().item<double>() <
          plain.output_measure.nonzeros.sum().item<double>());
    // Optimality: |⟨B − M, ∂M/∂a⟩| = μ where a ≠ 0, ≤ μ where a = 0.
    const auto outer = cp.left.unsqueeze(2) * cp.right.unsqueeze(1);
    const auto forms = ((outer + outer.mT()) * 0.5).flatten(1);
    const auto residual = (matrices(layer) - matrices(layer_of(cp))).flatten(1);
    const auto slope = residual.mm(forms.t());
    const double mu = l1 * matrices(layer).flatten(1).mm(forms.t()).abs().max().item<double>();
    CHECK(slope.abs().max().item<double>() < mu * (1 + 1e-8));
    const auto active = cp.outputs.ne(0);
    CHECK(
        at::where(active, slope - mu * cp.outputs.sign(), at::zeros_like(slope)).abs().max().item<double>() <
        1e-8 * mu);
  }
  CHECK(last == Approx(0).margin(1e-12));  // by definition everything is zero at 1
  auto nonnegative = quick;
  nonnegative.nonnegative = true;
  const auto cp = solve(layer, nonnegative);
  check_invariants(cp, layer);
  CHECK(cp.outputs.ge(0).all().item<bool>());
  CHECK(cp.outputs.gt(0).any().item<bool>());
  CHECK(cp.energy < plain.energy);
}

TEST_CASE("the refit of nearly parallel terms is the best of all sign patterns") {
  // Two of three terms are nearly one: Γ's condition is some 1/eps². Coordinate descent would need as many
  // sweeps.
  for (const double eps : {1e-1, 1e-2, 1e-3}) {
    auto layer = terms_layer(3, 6, 4, 300);
    layer.gate[1] = layer.gate[0] + eps * random_tensor({6}, 310);
    layer.up[1] = layer.up[0] + eps * random_tensor({6}, 311);
    for (const auto& [l1, nonnegative] :
         {std::pair(1e-4, false), std::pair(1e-2, false), std::pair(0.0, true)}) {
      auto penalised = config(3);
      penalised.l1 = l1;
      penalised.nonnegative = nonnegative;
      const auto cp = solve(layer, penalised);
      REQUIRE(cp.refit_residual.has_value());
      CHECK(*cp.refit_residual < 1e-12);
      const auto outer = cp.left.unsqueeze(2) * cp.right.unsqueeze(1);
      const auto forms = ((outer + outer.mT()) * 0.5).flatten(1);
      const auto gram = forms.mm(forms.t()), products = matrices(layer).flatten(1).mm(forms.t());
      const double mu = l1 * products.abs().max().item<double>();
      for (int64_t i = 0; i < 4; ++i) {
        const double least = least_penalised(gram, products[i], mu, nonnegative);
        // A weight's own rounding counts eps·|k·a| in the objective.
        CHECK(penalised_objective(gram, products[i], mu, cp.outputs[i]) <= least + 1e-12 * std::abs(least));
      }
    }
  }
}

TEST_CASE("output weights are the best ones for the factors as they are stored") {
  const auto layer = random_layer(30, 9, 7, true, 265);
  auto single = config(6);
  single.dtype = at::kFloat;
  single.starts = 1;
  single.max_iterations = 40;
  const auto cp = solve(layer, single);
  for (const auto& rows : {cp.left, cp.right}) CHECK(rows.to(at::kFloat).to(at::kDouble).equal(rows));
  // What is left of each B_i is orthogonal to every term: sums of 81 products, times 100.
  const auto outer = cp.left.unsqueeze(2) * cp.right.unsqueeze(1);
  const auto forms = ((outer + outer.mT()) * 0.5).flatten(1);
  const auto residual = (matrices(layer) - matrices(layer_of(cp))).flatten(1);
  CHECK(residual.mm(forms.t()).abs().max().item<double>() < 1e-12 * matrices(layer).norm().item<double>());
}

TEST_CASE("a refit that is not optimal to 1e-9 has not converged") {
  for (const auto fit : {CpStatus::kConverged, CpStatus::kDiverging, CpStatus::kUnfinished}) {
    CHECK(status_of(fit, {}) == fit);
    CHECK(status_of(fit, 0.99e-9) == fit);
    CHECK(status_of(fit, 1.01e-9) == CpStatus::kUnfinished);
  }
}

TEST_CASE("Jennrich's start is exact where 2R is at most d, and only a start beyond") {
  // ‖B − M‖² itself, before any step of a fit.
  const auto left = [](int64_t m, int64_t d, int64_t rank, uint64_t seed) {
    const auto layer = hide(terms_layer(rank, d, m, seed), seed + 5);
    const auto compressed = compress(layer, rank, 0).layer;
    const double size = squared_tensor_norm(compressed);
    return fit_cp(compressed, size, jennrich(compressed, rank, seed), 0, 1e-8).squared_error() / size;
  };
  for (uint64_t seed = 600; seed < 800; seed += 10) {
    CAPTURE(seed);  // rounding alone, 1e-15; a hard case of another seed may lose some digits
    CHECK(left(6, 12, 5, seed) < 1e-12);
    CHECK(left(6, 20, 8, seed) < 1e-12);
    CHECK(left(10, 12, 8, seed) > 0.1);  // .2 to .6
  }
}

TEST_CASE("terms of a layer that has no best ones diverge, and say so") {
  // y1 = x1x2, y2 = x3x2 + x1x4, the derivative of (a + t a') ⊗ (x1 + t x3)(x2 + t x4): it takes three
  // products, and two come as near as they like while they grow without end.
  const auto axis = at::eye(4, at::kDouble);
  BilinearLayer layer;
  layer.gate = axis.index_select(0, at::tensor({0, 2, 0}));
  layer.up = axis.index_select(0, at::tensor({1, 1, 3}));
  layer.down = at::tensor({1.0, 0.0, 0.0, 0.0, 1.0, 1.0}, at::kDouble).view({2, 3});
  auto patient = config(2);
  patient.max_iterations = 100000;
  const auto cp = solve(layer, patient);
  CHECK(cp.status == CpStatus::kDiverging);
  CHECK(cp.energy > 0.99);
  CHECK(cp.cancellation > 100);
  CHECK(contains(to_factors(cp, at::kDouble).words, "diverging"));
  CHECK(std::get<CpFactors>(to_factors(cp, at::kDouble).found).status == "diverging");
  const auto whole = solve(layer, config(3));
  CHECK(whole.converged());
  CHECK(whole.energy > 1 - 1e-12);
}

TEST_CASE("a term's eigenvectors are the sum and the difference of its factors") {
  const auto cp = solve(random_layer(20, 8, 5, true, 270), config(3));
  for (int64_t r = 0; r < 3; ++r) {
    const auto l = cp.left[r], right = cp.right[r];
    const auto form = (at::outer(l, right) + at::outer(right, l)) * 0.5;
    for (const double sign : {1.0, -1.0}) {
      const auto v = l + sign * right;
      const double value = 0.5 * (l.dot(right).item<double>() + sign);
      CHECK((form.mv(v) - value * v).abs().max().item<double>() < 1e-13);
    }
  }
}

TEST_CASE("CP with directions, an embedding, and a layer without down projection") {
  const auto layer = random_layer(3, 6, 3, false, 280);
  const auto u = random_tensor({4, 3}, 281), embed = random_tensor({6, 11}, 282);
  auto folded = fold_input(layer, embed);
  folded.down = u;
  const auto cp = decompose_cp({layer, embed, u}, at::kCPU, config(3));
  check_invariants(cp, folded);
  CHECK(cp.energy > 1 - 1e-9);
  CHECK(worst_term(folded, cp) < 1e-7);
}

TEST_CASE("CP of degenerate layers") {
  auto layer = terms_layer(3, 7, 4, 290);
  for (const double scale : {1e30, 1e-30}) {
    auto scaled = layer;
    scaled.gate = layer.gate * scale;
    scaled.down = layer.down * scale;
    const auto cp = solve(scaled, config(3));
    check_invariants(cp, scaled);
    CHECK(worst_term(scaled, cp) < 1e-7);
  }
  auto zero = layer;
  zero.up = at::zeros_like(layer.up);
  const auto nothing = solve(zero, config(2));
  check_invariants(nothing, zero);
  CHECK(nothing.converged());
  CHECK(nothing.energy == 1.0);
  CHECK(nothing.outputs.eq(0).all().item<bool>());
  layer.gate[1][1] = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_AS(solve(layer, config(2)), Error);
}

}  // namespace bilens::cp_test
