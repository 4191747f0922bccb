#include "bilens/analysis/factors/hosvd.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "bilens/core/error.h"
#include "catch.h"
#include "caught.h"
#include "layers.h"

namespace bilens::hosvd_test {

using namespace bilens::test;

namespace {

at::Tensor tensor_of(const EigenProblem& problem) {
  const auto layer = problem.embed.defined() ? fold_input(problem.layer, problem.embed) : problem.layer;
  return slow_matrices(layer, problem.directions.defined() ? problem.directions
                                                           : at::eye(layer.d_out(), at::dtype(at::kDouble)));
}

/// Left singular vectors (rows) and values of the tensor flattened to [mode, everything else].
std::pair<at::Tensor, at::Tensor> flattened_svd(const at::Tensor& flat) {
  const auto [u, s, vt] = at::linalg_svd(flat, /*full_matrices=*/false);
  return {u.t(), s};
}

at::Tensor projector(const at::Tensor& rows) { return rows.t().mm(rows); }

double off_identity(const at::Tensor& gram) {
  return (gram - at::eye(gram.size(0), gram.options())).abs().max().item<double>();
}

/// The layer of a planted tensor: outputs of rank 2, inputs in a space of 3 of 11 dimensions.
BilinearLayer planted(at::Tensor* inputs, at::Tensor* outputs) {
  *inputs = std::get<0>(at::linalg_qr(random_tensor({11, 3}, 1))).t().contiguous();
  *outputs = std::get<0>(at::linalg_qr(random_tensor({7, 2}, 2))).t().contiguous();
  BilinearLayer layer;
  layer.gate = random_tensor({70, 3}, 3).mm(*inputs);
  layer.up = random_tensor({70, 3}, 4).mm(*inputs);
  layer.down = outputs->t().mm(random_tensor({2, 70}, 5));
  return layer;
}

std::vector<EigenProblem> problems() {
  return {
      {random_layer(70, 9, 6, true, 1), {}, {}},
      {random_layer(37, 8, 37, false, 2), {}, {}},
      {random_layer(45, 5, 4, true, 3), random_tensor({5, 9}, 4), {}},
      {random_layer(33, 6, 5, true, 5), random_tensor({6, 4}, 6), random_tensor({3, 5}, 7)},
  };
}

HosvdConfig config(int64_t count, double energy = 1.0, int64_t memory_limit = kTileMemory) {
  return {count, energy, memory_limit};
}

constexpr int64_t kAll = std::numeric_limits<int64_t>::max();

}  // namespace

TEST_CASE("both modes are the singular value decompositions of the flattened tensor", "[hosvd]") {
  for (const auto& problem : problems()) {
    const auto b = tensor_of(problem);
    const int64_t n = b.size(0), d = b.size(1);
    for (const int64_t limit : {int64_t{0}, int64_t{60000}, kTileMemory}) {
      for (const bool output : {true, false}) {
        const auto found = output ? output_hosvd(problem, config(kAll, 1.0, limit))
                                  : input_hosvd(problem, config(kAll, 1.0, limit));
        const auto [vectors, values] =
            flattened_svd(output ? b.view({n, d * d}) : b.transpose(0, 1).reshape({d, n * d}));
        INFO("n " << n << ", d " << d << ", limit " << limit << ", output " << output);
        // σ² is known to some eps·σ₁²: a σ at the floor to √eps·σ₁, one of .01σ₁ to 1e-14·σ₁/.02.
        const double largest = values[0].item<double>();
        const auto k = std::min(found.singular_values.numel(), values.numel());
        const auto error = (found.singular_values.narrow(0, 0, k) - values.narrow(0, 0, k)).abs();
        const auto resolved = values.narrow(0, 0, k).gt(0.01 * largest);
        CHECK(error.masked_select(resolved).max().item<double>() < 1e-12 * largest);
        CHECK(error.max().item<double>() < 10 * found.floor);
        CHECK(found.floor == Approx(largest * 1.49e-8).epsilon(0.01));
        CHECK(found.squared_norm == Approx(b.square().sum().item<double>()).epsilon(1e-12));
        CHECK(off_identity(found.vectors.mm(found.vectors.t())) < 1e-12);
        // The leading space: ‖ΔΠ‖ ≤ eps·σ₁²/gap (Davis and Kahan), gaps of σ² here above .01σ₁².
        const auto squares = values.square();
        for (const int64_t kept : {1, 2}) {
          const double gap = ((squares[kept - 1] - squares[kept]) / squares[0]).item<double>();
          REQUIRE(gap > 1e-3);
          const auto difference =
              projector(found.vectors.narrow(0, 0, kept)) - projector(vectors.narrow(0, 0, kept));
          CHECK(difference.abs().max().item<double>() < 1e-13 / gap);
        }
      }
    }
  }
}

TEST_CASE("the output mode's factors are interaction matrices, orthonormal, and rebuild the tensor",
          "[hosvd]") {
  for (const auto& problem : problems()) {
    const auto b = tensor_of(problem);
    const auto found = output_hosvd(problem, config(std::min<int64_t>(b.size(0), 3)));
    auto u = found.vectors;
    if (problem.directions.defined()) u = u.mm(problem.directions);
    const auto factors =
        tensor_of({problem.layer, problem.embed, u}) / found.singular_values.view({-1, 1, 1});
    // R_k = Q_u/σ_k: their overlaps are known to eps·σ₁²/(σ_iσ_j), and σ₃ is above .1σ₁.
    CHECK(off_identity(at::einsum("aij,bij->ab", {factors, factors})) < 1e-12);
    const auto rebuilt = at::einsum("k,kn,kij->nij", {found.singular_values, found.vectors, factors});
    const double left = (b - rebuilt).square().sum().item<double>();
    CHECK(std::abs(left - found.discarded) < 1e-12 * found.squared_norm);
  }
}

TEST_CASE("a planted tensor of low rank is found", "[hosvd]") {
  at::Tensor inputs, outputs;
  const EigenProblem problem{planted(&inputs, &outputs), {}, {}};
  const double share = 1 - 1e-10;  // far above rounding (1e-15), far below any planted factor (1e-3)
  for (const int64_t limit : {int64_t{0}, kTileMemory}) {
    const auto output = output_hosvd(problem, config(kAll, share, limit));
    const auto input = input_hosvd(problem, config(kAll, share, limit));
    REQUIRE(output.singular_values.numel() == 2);
    REQUIRE(input.singular_values.numel() == 3);
    CHECK(output.discarded < 1e-13 * output.squared_norm);
    CHECK(input.discarded < 1e-13 * input.squared_norm);
    CHECK((projector(output.vectors) - projector(outputs)).abs().max().item<double>() < 1e-12);
    CHECK((projector(input.vectors) - projector(inputs)).abs().max().item<double>() < 1e-12);
  }
  // What is not there lies at the floor, not at eps: a Gram matrix resolves no more.
  const auto all = output_hosvd(problem, config(kAll));
  REQUIRE(all.singular_values.numel() == 7);
  CHECK(all.singular_values[1].item<double>() > 1e6 * all.floor);
  CHECK(all.singular_values[2].item<double>() < 10 * all.floor);
}

TEST_CASE("what a projection onto the input mode's vectors loses is within its bound", "[hosvd]") {
  bool between = false;
  for (const auto& problem : problems()) {
    const auto b = tensor_of(problem);
    for (int64_t k = 1; k < b.size(1); ++k) {
      const auto found = input_hosvd(problem, config(k));
      REQUIRE(found.vectors.size(0) == k);
      const auto p = projector(found.vectors);
      const double lost = (b - p.matmul(b).matmul(p)).square().sum().item<double>();
      const double rounding = 1e-12 * found.squared_norm;
      CHECK(found.discarded <= lost + rounding);
      CHECK(lost <= 2 * found.discarded + rounding);
      between = between || (lost > 1.05 * found.discarded && lost < 1.95 * found.discarded);
    }
  }
  CHECK(between);  // neither side is the answer itself
}

TEST_CASE("truncation keeps the fewest factors that reach the share of energy", "[hosvd]") {
  const EigenProblem problem{random_layer(70, 9, 6, true, 1), {}, {}};
  for (const auto& mode : {output_hosvd, input_hosvd}) {
    const auto all = mode(problem, config(kAll));
    for (const double share : {0.3, 0.8, 0.95}) {
      const auto some = mode(problem, config(kAll, share));
      const int64_t k = some.singular_values.numel();
      CHECK(some.energy[k - 1].item<double>() >= share);
      if (k > 1) CHECK(some.energy[k - 2].item<double>() < share);
      CHECK(some.vectors.equal(all.vectors.narrow(0, 0, k)));
      CHECK(some.singular_values.square().sum().item<double>() + some.discarded ==
            Approx(all.squared_norm).epsilon(1e-14));
    }
    CHECK(mode(problem, config(2, 0.95)).singular_values.numel() == 2);
    CHECK(mode(problem, config(kAll)).energy[-1].item<double>() == Approx(1).epsilon(1e-14));
  }
}

TEST_CASE("factors of a zero layer are orthonormal with value 0", "[hosvd]") {
  auto layer = random_layer(20, 5, 4, true, 1);
  layer.up = at::zeros_like(layer.up);
  for (const auto& mode : {output_hosvd, input_hosvd}) {
    const auto found = mode({layer, {}, {}}, config(kAll));
    CHECK(found.singular_values.count_nonzero().item<int64_t>() == 0);
    CHECK(off_identity(found.vectors.mm(found.vectors.t())) < 1e-12);
    CHECK(found.energy.eq(1).all().item<bool>());
    CHECK(found.squared_norm == 0.0);
    CHECK(found.discarded == 0.0);
  }
}

TEST_CASE("dtypes and scales of the weights change nothing; NaN is refused", "[hosvd]") {
  const auto layer = random_layer(70, 7, 4, true, 1);
  for (const auto& mode : {output_hosvd, input_hosvd}) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const auto stored = layer.to(dtype, at::kCPU);
      const auto found = mode({stored, {}, {}}, config(kAll));
      const auto wide = mode({stored.to(at::kDouble, at::kCPU), {}, {}}, config(kAll));
      CHECK(found.singular_values.equal(wide.singular_values));  // products in float64 from the first on
      CHECK(found.vectors.equal(wide.vectors));
    }
    const auto plain = mode({layer, {}, {}}, config(kAll));
    for (const double power : {100.0, -100.0}) {
      const double unit = std::exp2(power);  // 1.3e±30, exactly
      BilinearLayer scaled = layer;
      scaled.gate = layer.gate * unit;
      scaled.up = layer.up * unit;
      scaled.down = layer.down * unit;
      const auto found = mode({scaled, {}, {}}, config(kAll));
      CHECK(found.singular_values.equal(plain.singular_values * std::exp2(3 * power)));
      CHECK(found.vectors.equal(plain.vectors));
    }
    auto broken = layer;
    broken.down = layer.down.clone();
    broken.down[3][69] = std::numeric_limits<double>::quiet_NaN();
    CHECK(caught([&] { mode({broken, {}, {}}, config(1)); }).code() == ExitCode::kBadInput);
    auto huge = layer;
    huge.gate = layer.gate * 1e100;
    huge.up = layer.up * 1e100;
    CHECK(contains(caught([&] { mode({huge, {}, {}}, config(1)); }).what(), "Divide the weights"));
    auto tiny = layer;
    tiny.gate = layer.gate * 1e-200;
    CHECK(contains(caught([&] { mode({tiny, {}, {}}, config(1)); }).what(), "Multiply the weights"));
  }
}

}  // namespace bilens::hosvd_test
