#include "bilens/analysis/eigen/effective_rank.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "bilens/analysis/forms/gram.h"
#include "bilens/core/error.h"
#include "catch.h"
#include "caught.h"
#include "layers.h"

namespace bilens::effective_rank_test {

using namespace bilens::test;

namespace {

at::Tensor all_directions(const EigenProblem& problem) {
  return problem.directions.defined() ? problem.directions
                                      : at::eye(problem.layer.d_out(), at::dtype(at::kDouble));
}

/// (Σ|λ|)²/Σλ² from the eigenvalues of the formed matrices.
at::Tensor dense_truth(const EigenProblem& problem) {
  const auto layer = problem.embed.defined() ? fold_input(problem.layer, problem.embed) : problem.layer;
  const auto values = at::linalg_eigvalsh(slow_matrices(layer, all_directions(problem)));
  return values.abs().sum(1).square() / values.square().sum(1);
}

std::vector<double> spectrum(int64_t count, double (*value)(double)) {
  std::vector<double> values;
  for (int64_t i = 0; i < count; ++i) values.push_back((i % 3 == 0 ? -1 : 1) * value(static_cast<double>(i)));
  return values;
}

EigenProblem outlier_problem() {
  return {planted_layer(spectrum(80, [](double i) { return i < 1 ? 20.0 : 1.0; }), 90, 7), {}, {}};
}

EffectiveRankConfig config(int64_t probes, uint64_t seed = 0) {
  EffectiveRankConfig made;
  made.dtype = at::kDouble;
  made.probes = probes;
  made.seed = seed;
  return made;
}

double value_of(const at::Tensor& tensor) { return tensor[0].item<double>(); }

}  // namespace

TEST_CASE("the effective rank is within four standard errors of the truth", "[effective_rank]") {
  const std::vector<std::pair<std::string, EigenProblem>> problems = {
      {"semicircle", {random_layer(150, 90, 2, true, 1), {}, {}}},
      {"no down projection", {random_layer(40, 60, 40, false, 2), {}, random_tensor({2, 40}, 3)}},
      {"over the input", {random_layer(60, 30, 2, true, 3), random_tensor({30, 70}, 4), {}}},
      {"geometric", {planted_layer(spectrum(80, [](double i) { return std::pow(0.9, i); }), 90, 5), {}, {}}},
      {"power law", {planted_layer(spectrum(80, [](double i) { return 1 / (1 + i); }), 80, 6), {}, {}}},
      {"outlier", outlier_problem()},
      {"rank 4", {planted_layer({5, -3, 2, 1}, 60, 8), {}, {}}},
  };
  for (const auto& [name, problem] : problems) {
    const auto truth = dense_truth(problem);
    for (const bool known : {false, true}) {
      const auto found =
          effective_rank(problem, at::kCPU, config(60), known ? squared_frobenius(problem) : at::Tensor());
      INFO(name << ", Σλ² known: " << known << "\ntruth " << truth << "\nfound " << found.value << "\nerror "
                << found.standard_error);
      // Beside the probes' error the quadrature's, which 64 steps in 90 dimensions or less leave below 1e-3.
      CHECK(((found.value - truth).abs() <= 4 * found.standard_error + 1e-3 * truth).all().item<bool>());
      // An error bar as wide as the answer would make the check above worth nothing.
      CHECK((found.standard_error / truth).max().item<double>() < (known ? 0.15 : 0.4));
    }
  }
}

TEST_CASE("the standard error is the spread over seeds, and falls with the root of the probes",
          "[effective_rank]") {
  const EigenProblem problem{
      planted_layer(spectrum(40, [](double i) { return std::pow(0.9, i); }), 40, 1), {}, {}};
  const double truth = value_of(dense_truth(problem));
  for (const bool known : {false, true}) {
    const auto squares = known ? squared_frobenius(problem) : at::Tensor();
    constexpr int kSeeds = 60;
    double sum = 0, square = 0;
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      const auto found = effective_rank(problem, at::kCPU, config(24, seed), squares);
      const double off = (value_of(found.value) - truth) / value_of(found.standard_error);
      sum += off;
      square += off * off;
    }
    // Over 60 seeds the root mean square of a standard normal is 1 ± .09; 24 probes make it some 5% wider.
    const double rms = std::sqrt(square / kSeeds);
    INFO("known " << known << ", rms " << rms << ", mean " << sum / kSeeds);
    CHECK(rms > 0.7);
    CHECK(rms < 1.4);
    const double few = value_of(effective_rank(problem, at::kCPU, config(64), squares).standard_error);
    const double many = value_of(effective_rank(problem, at::kCPU, config(1024), squares).standard_error);
    // √(1024/64) = 4; an error from 64 probes is itself known to 9%, more with heavy tails.
    CHECK(few / many > 2.8);
    CHECK(few / many < 5.6);
  }
}

TEST_CASE("knowing the energy makes the error of an outlier's matrix much smaller", "[effective_rank]") {
  // One λ² of 400 beside 79 of 1: the probes' own Σλ² varies by √(2·400²/479²) or so, the known one not.
  const auto problem = outlier_problem();
  const auto with = effective_rank(problem, at::kCPU, config(60), squared_frobenius(problem));
  const auto without = effective_rank(problem, at::kCPU, config(60));
  INFO("with " << with.standard_error << "\nwithout " << without.standard_error);
  CHECK(value_of(with.standard_error) < 0.2 * value_of(without.standard_error));
}

TEST_CASE("effective ranks do not depend on chunks, order or other directions", "[effective_rank]") {
  const EigenProblem problem{random_layer(50, 30, 4, true, 1), {}, random_tensor({5, 4}, 2)};
  const auto all = effective_rank(problem, at::kCPU, config(8));
  auto one_by_one = config(8);
  one_by_one.memory_limit = 0;
  const auto singly = effective_rank(problem, at::kCPU, one_by_one);
  // Products of other shapes round otherwise: k·eps with k = 1000, through 30 Lanczos steps.
  CHECK((singly.value / all.value - 1).abs().max().item<double>() < 1e-10);
  CHECK((singly.standard_error / all.standard_error - 1).abs().max().item<double>() < 1e-8);
  const EigenProblem reversed{problem.layer, {}, problem.directions.flip(0)};
  const auto back = effective_rank(reversed, at::kCPU, config(8)).value.flip(0);
  CHECK((back / all.value - 1).abs().max().item<double>() < 1e-10);
  const auto other_seed = effective_rank(problem, at::kCPU, config(8, 1));
  CHECK((other_seed.value / all.value - 1).abs().min().item<double>() > 1e-6);
}

TEST_CASE("a zero matrix has effective rank 0, an orthogonal one its dimension", "[effective_rank]") {
  auto directions = random_tensor({2, 4}, 2);
  directions[1].zero_();
  const EigenProblem problem{random_layer(50, 30, 4, true, 1), {}, directions};
  for (const auto& squares : {at::Tensor(), squared_frobenius(problem)}) {
    const auto found = effective_rank(problem, at::kCPU, config(8), squares);
    CHECK(value_of(found.value) > 1);
    CHECK(found.value[1].item<double>() == 0.0);
    CHECK(found.standard_error[1].item<double>() == 0.0);
    const EigenProblem flat{planted_layer(std::vector<double>(30, 2.0), 30, 3), {}, {}};
    const auto whole =
        effective_rank(flat, at::kCPU, config(8), squares.defined() ? squared_frobenius(flat) : squares);
    CHECK(value_of(whole.value) == Approx(30).epsilon(1e-12));  // every probe says the same
    CHECK(value_of(whole.standard_error) < 1e-10);
  }
}

TEST_CASE("effective ranks of weights of few digits and of 1e±30; NaN is refused", "[effective_rank]") {
  const auto layer = random_layer(50, 30, 4, true, 1);
  auto single = config(8);
  single.dtype = at::kFloat;
  for (const auto dtype : {at::kDouble, at::kFloat, at::kBFloat16}) {
    const EigenProblem stored{layer.to(dtype, at::kCPU), {}, {}};
    const auto in_float32 = effective_rank(stored, at::kCPU, single);
    const auto in_float64 = effective_rank(stored, at::kCPU, config(8));
    // float32 weights and products, one over the other: 1e-6 of the spectral norm in a Ritz value.
    CHECK((in_float32.value / in_float64.value - 1).abs().max().item<double>() < 1e-5);
  }
  const EigenProblem plain{layer, {}, {}};
  for (const double unit : {1e30, 1e-30}) {
    BilinearLayer scaled = layer;
    scaled.gate = layer.gate * unit;
    scaled.up = layer.up * unit;
    scaled.down = layer.down * unit;
    const EigenProblem problem{scaled, {}, {}};
    const auto expected = effective_rank(plain, at::kCPU, single, squared_frobenius(plain));
    const auto found = effective_rank(problem, at::kCPU, single, squared_frobenius(problem));
    CHECK((found.value / expected.value - 1).abs().max().item<double>() < 1e-5);
  }
  auto broken = layer;
  broken.up = layer.up.clone();
  broken.up[0][0] = std::numeric_limits<double>::quiet_NaN();
  CHECK(caught([&] { effective_rank({broken, {}, {}}, at::kCPU, single); }).code() == ExitCode::kBadInput);
}

}  // namespace bilens::effective_rank_test
