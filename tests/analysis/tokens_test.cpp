#include <ATen/ATen.h>

#include "bilens/analysis/tokens/token_basis.h"
#include "bilens/analysis/tokens/token_cards.h"
#include "bilens/analysis/tokens/token_interactions.h"
#include "catch.h"
#include "layers.h"

namespace bilens::tokens_test {

using namespace bilens::test;

namespace {

double largest(const at::Tensor& difference) { return difference.abs().max().item<double>(); }

/// Every pair's term, [V, V] with the terms above the diagonal doubled and nothing below.
at::Tensor all_terms(const at::Tensor& projections, const at::Tensor& eigenvalues) {
  const auto q = at::matmul(projections.t() * eigenvalues, projections);
  return q.triu(1) * 2 + q.diagonal().diag();
}

}  // namespace

TEST_CASE("a token basis is the matrix, times the gain, without its mean", "[tokens]") {
  const auto matrix = random_tensor({50, 7}, 1) + 3;
  const auto gain = random_tensor({7}, 2);
  const auto vectors = random_tensor({4, 7}, 3), weights = random_tensor({4, 50}, 4);
  for (const bool with_gain : {false, true}) {
    const auto folded = with_gain ? matrix * gain : matrix;
    const auto expected = folded - folded.mean(0);
    for (const auto dtype : {at::kDouble, at::kBFloat16}) {
      const auto stored = matrix.to(dtype);
      const TokenBasis basis(stored, with_gain ? gain : at::Tensor());
      // Against the same numbers in float64: only rounding is left.
      const auto exact = (with_gain ? stored.to(at::kDouble) * gain : stored.to(at::kDouble));
      const auto centred = dtype == at::kDouble ? expected : exact - exact.mean(0);
      CHECK(largest(basis.rows(at::arange(50)) - centred) < 1e-13);
      CHECK(largest(basis.norms() - centred.norm(2, {1})) < 1e-13);
      CHECK(largest(basis.project(vectors) - vectors.mm(centred.t())) < 1e-12);
      CHECK(largest(basis.mix(weights) - weights.mm(centred)) < 1e-12);
    }
  }
}

TEST_CASE("a basis of many blocks is that of one", "[tokens]") {
  // 8 kB a row: 4096 rows a block, so three blocks.
  const auto matrix = random_tensor({9000, 1024}, 1).to(at::kBFloat16);
  const TokenBasis basis(matrix);
  const auto exact = matrix.to(at::kDouble);
  const auto centred = exact - exact.mean(0);
  const auto vectors = random_tensor({2, 1024}, 2);
  CHECK(largest(basis.norms() - centred.norm(2, {1})) < 1e-11);
  CHECK(largest(basis.project(vectors) - vectors.mm(centred.t())) < 1e-10);
}

TEST_CASE("random directions vary as the embedding does", "[tokens]") {
  const auto scales = at::tensor({9.0, 3.0, 1.0, 1.0, 0.1}, at::kDouble);
  const TokenBasis basis(random_tensor({400, 5}, 1) * scales + 20);
  const auto directions = random_token_directions(basis, 4000, 7);
  CHECK(largest(directions.norm(2, {1}) - 1) < 1e-14);
  const auto same = random_token_directions(basis, 4000, 7);
  CHECK(directions.equal(same));
  // The angle between two axes, unchanged by the common length: |g_0/g_1| has median σ_0/σ_1 (Cauchy).
  const auto rows = basis.rows(at::arange(400));
  const auto sigma = rows.square().mean(0).sqrt();
  for (const int64_t other : {1, 2, 4}) {
    const double found =
        (directions.select(1, 0) / directions.select(1, other)).abs().median().item<double>();
    // Independent within 400 rows' correlations of 5%; the median of 4000 is known to 2.5%.
    CHECK(found == Approx((sigma[0] / sigma[other]).item<double>()).epsilon(0.1));
  }
}

TEST_CASE("nearest tokens on both sides, with the share of random directions that come less near",
          "[tokens]") {
  const auto norms = at::tensor({2.0, 1.0, 0.0, 4.0}, at::kDouble);
  const auto projections = at::tensor({1.0, -0.75, 0.0, 1.0, -2.0, 0.5, 0.0, 0.0}, at::kDouble).view({2, 4});
  const auto nearest = nearest_tokens(projections, norms, 2);
  // Cosines .5, -.75, 0 (no row), .25 and -1, .5, 0, 0.
  CHECK(nearest.ids[0].equal(at::tensor({0, 3, 1, 2}, at::kInt).view({2, 2})));
  CHECK(nearest.cosines[0].equal(at::tensor({0.5, 0.25, -0.75, 0.0}, at::kDouble).view({2, 2})));
  CHECK(nearest.cosines[1].select(0, 0).equal(at::tensor({0.5, 0.0}, at::kDouble)));
  CHECK(nearest_tokens(projections, norms, 9).ids.size(2) == 4);

  const auto null = at::tensor({0.1, 0.0, 0.5, 0.1, 0.7, 0.2, 0.9, 0.3}, at::kDouble).view({4, 2});
  const auto quantiles = null_quantiles(nearest, null);
  // .5 exceeds one of .1 .5 .7 .9, .75 three; .25 exceeds three of 0 .1 .2 .3, 0 none; -1 all four.
  CHECK(quantiles[0].equal(at::tensor({0.25, 0.75, 0.75, 0.0}, at::kDouble).view({2, 2})));
  CHECK(quantiles[1][1][0].item<double>() == 1.0);
}

TEST_CASE("the null is what nearest_tokens finds for random directions, each of both signs", "[tokens]") {
  const TokenBasis basis(random_tensor({90, 6}, 1));
  const auto directions = random_token_directions(basis, 100, 3);  // more than are projected at once
  const auto null = null_cosines(basis, directions, 3);
  REQUIRE(null.sizes() == at::IntArrayRef({200, 3}));
  const auto rows = basis.rows(at::arange(90));
  const auto cosines = at::cat({directions, -directions}).mm((rows / rows.norm(2, {1}, true)).t());
  const auto best = std::get<0>(std::get<0>(cosines.topk(3, 1)).sort(0));
  CHECK(largest(null - best) < 1e-13);
}

TEST_CASE("largest interactions are those of the whole square", "[tokens]") {
  struct Case {
    int64_t tokens, k, count;
    double spread;  // of the rows' lengths: with 0 nothing can be left out early
  };
  for (const auto& c : {Case{2500, 4, 30, 1.5}, Case{2100, 3, 50, 0.0}, Case{3, 2, 20, 1.0}}) {
    INFO(c.tokens << " tokens");
    const auto lengths = (random_tensor({c.tokens}, 5) * c.spread).exp();
    const auto projections = random_tensor({c.k, c.tokens}, 6) * lengths;
    const auto eigenvalues = at::tensor({2.0, -1.5, 0.7, -0.1}, at::kDouble).narrow(0, 0, c.k);
    const auto found = largest_interactions(projections, eigenvalues, lengths, {0.5}, c.count);
    const auto all = all_terms(projections, eigenvalues);
    const int64_t count = std::min(c.count, c.tokens * (c.tokens + 1) / 2);
    const auto best = std::get<0>(all.abs().flatten().topk(count));
    REQUIRE(found.values.numel() == count);
    CHECK(largest(found.values.abs() - best) < 1e-12 * best[0].item<double>());
    const auto i = found.tokens.select(1, 0).to(at::kLong), j = found.tokens.select(1, 1).to(at::kLong);
    CHECK((i <= j).all().item<bool>());
    CHECK(std::get<0>(at::_unique2(i * c.tokens + j)).numel() == count);  // each pair once
    CHECK(largest(all.flatten().take(i * c.tokens + j) - found.values) < 1e-12 * best[0].item<double>());
    const auto reach = lengths.take(i) * lengths.take(j) * 0.5;
    CHECK(largest(found.bounds - at::where(i == j, reach, 2 * reach)) < 1e-12 * reach.max().item<double>());
  }
}

TEST_CASE("the shortest tokens' interactions are found too", "[tokens]") {
  // In 40 dimensions random unit vectors are never nearer than .85; ten pairs are planted that are parallel,
  // one token of each the longest of all, the other the shortest.
  const int64_t k = 40, tokens = 2500, pairs = 10;
  auto unit = random_tensor({k, tokens}, 1);
  unit = unit / unit.norm(2, {0});
  unit.narrow(1, tokens - pairs, pairs).copy_(unit.narrow(1, 0, pairs));
  auto lengths = at::full({tokens}, 0.9, at::kDouble);
  lengths.narrow(0, 0, pairs).fill_(1.0);
  lengths.narrow(0, tokens - pairs, pairs).fill_(0.85);
  const auto found = largest_interactions(unit * lengths, at::ones({k}, at::kDouble), lengths, {0.0}, pairs);
  CHECK(largest(found.values - 2 * 0.85) < 1e-13);
  const auto first = std::get<0>(found.tokens.select(1, 0).sort());
  CHECK(first.equal(at::arange(pairs, at::kInt)));
  CHECK((found.tokens.select(1, 1) - found.tokens.select(1, 0)).eq(tokens - pairs).all().item<bool>());
}

TEST_CASE("interactions of a zero form are zero", "[tokens]") {
  const auto found = largest_interactions(at::zeros({2, 5}, at::kDouble), at::zeros({2}, at::kDouble),
                                          at::ones({5}, at::kDouble), {0.0}, 100);
  CHECK(found.values.numel() == 15);
  CHECK(largest(found.values) == 0.0);
  CHECK(largest(found.bounds) == 0.0);
}

TEST_CASE("what truncation leaves out of an interaction is within its bound", "[tokens]") {
  const int64_t d = 8, tokens = 40;
  const auto vectors = std::get<0>(at::linalg_qr(random_tensor({d, d}, 1))).t();  // rows
  const auto eigenvalues = at::tensor({3.0, -2.0, 1.5, -1.0, 0.8, -0.8, 0.4, 0.1}, at::kDouble);
  const TokenBasis basis(random_tensor({tokens, d}, 2));
  const auto projections = basis.project(vectors);
  const auto full = all_terms(projections, eigenvalues);
  for (const int64_t k : {1, 3, 8}) {
    const double remainder = k < d ? eigenvalues[k].abs().item<double>() : 0.0;
    const auto found = largest_interactions(projections.narrow(0, 0, k), eigenvalues.narrow(0, 0, k),
                                            basis.norms(), {remainder}, 820);
    REQUIRE(found.values.numel() == 820);  // all pairs
    const auto flat = found.tokens.select(1, 0).to(at::kLong) * tokens + found.tokens.select(1, 1);
    const auto error = (full.flatten().take(flat) - found.values).abs();
    CHECK((error <= found.bounds + 1e-12).all().item<bool>());
    if (k < d) CHECK((error / found.bounds).max().item<double>() > 0.5);  // and the bound is no idle one
  }
}

TEST_CASE("permuted units multiply with others", "[tokens]") {
  auto layer = random_layer(6, 4, 3, true, 1);
  layer.up_bias = random_tensor({6}, 2);
  const auto order = at::tensor({3, 1, 0, 5, 4, 2}, at::kLong);
  const auto permuted = permute_up(layer, order);
  const auto x = random_tensor({5, 4}, 3);
  const auto gate = x.mm(layer.gate.t()), up = x.mm(layer.up.t()) + layer.up_bias;
  CHECK(largest(permuted.forward(x) - (gate * up.index_select(1, order)).mm(layer.down.t())) < 1e-13);
  CHECK(largest(permuted.forward(x) - layer.forward(x)) > 0.1);
}

}  // namespace bilens::tokens_test
