#include "bilens/model/sampler.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <set>

#include "caught.h"

namespace bilens::sampler_test {
namespace {

using test::caught;
using test::contains;

/// Logits of these probabilities.
at::Tensor logits_of(const std::vector<double>& probabilities) {
  return at::tensor(probabilities, at::kDouble).log().to(at::kFloat);
}

SamplerConfig settings(double temperature, int64_t top_k = 0, double top_p = 1.0) {
  SamplerConfig config;
  config.temperature = temperature;
  config.top_k = top_k;
  config.top_p = top_p;
  return config;
}

/// How often each token comes in `draws` positions, as a share.
std::vector<double> shares(const at::Tensor& logits, const SamplerConfig& config, int64_t draws) {
  std::vector<double> share(static_cast<size_t>(logits.numel()), 0.0);
  for (int64_t i = 0; i < draws; ++i) share[static_cast<size_t>(sample_token(logits, config, i))] += 1;
  for (double& count : share) count /= static_cast<double>(draws);
  return share;
}

constexpr int64_t kDraws = 20'000;

/// Whether the shares are those probabilities, up to five standard deviations of a count.
void check_shares(const std::vector<double>& found, const std::vector<double>& expected) {
  for (size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i, found[i], expected[i]);
    const double deviation = std::sqrt(expected[i] * (1 - expected[i]) / kDraws);
    CHECK(std::abs(found[i] - expected[i]) <= 5 * deviation);
  }
}

TEST_CASE("temperature 0 takes the likeliest token, the first of equals") {
  CHECK(sample_token(at::tensor({0.5, 2.0, -1.0, 2.0}), settings(0.0), 3) == 1);
  CHECK(sample_token(at::tensor({0.5, 2.0, 3.0}).to(at::kBFloat16), settings(0.0), 3) == 2);
  CHECK(sample_token(at::tensor({1.0, 2.0}), settings(1e-300), 3) == 1);  // next to it
}

TEST_CASE("tokens come as often as their probability says") {
  const auto logits = logits_of({0.5, 0.2, 0.05, 0.25});
  check_shares(shares(logits, settings(1.0), kDraws), {0.5, 0.2, 0.05, 0.25});
  check_shares(shares(logits + 100.0, settings(1.0), kDraws), {0.5, 0.2, 0.05, 0.25});
}

TEST_CASE("temperature sharpens: p^(1/T), normalised") {
  // 0.8^2 : 0.2^2 = 16 : 1
  check_shares(shares(logits_of({0.8, 0.2}), settings(0.5), kDraws), {16.0 / 17, 1.0 / 17});
}

TEST_CASE("top_k keeps the k likeliest, equals by their id") {
  check_shares(shares(logits_of({0.5, 0.1, 0.1, 0.3}), settings(1.0, 2), kDraws), {0.625, 0.0, 0.0, 0.375});
  check_shares(shares(logits_of({0.1, 0.5, 0.1, 0.3}), settings(1.0, 3), kDraws),
               {1.0 / 9, 5.0 / 9, 0.0, 3.0 / 9});
  check_shares(shares(logits_of({0.5, 0.5}), settings(1.0, 99), kDraws), {0.5, 0.5});
  CHECK(sample_token(logits_of({0.3, 0.7}), settings(5.0, 1), 0) == 1);
}

TEST_CASE("top_p keeps the fewest tokens that reach it, and at least one") {
  const auto logits = logits_of({0.1, 0.5, 0.3, 0.1});
  check_shares(shares(logits, settings(1.0, 0, 0.7), kDraws), {0.0, 0.625, 0.375, 0.0});
  check_shares(shares(logits, settings(1.0, 0, 0.4), kDraws), {0.0, 1.0, 0.0, 0.0});
  check_shares(shares(logits, settings(1.0, 0, 1e-9), kDraws), {0.0, 1.0, 0.0, 0.0});
  // top_k leaves two (5/8, 3/8), and top_p 0.6 needs one of them.
  check_shares(shares(logits, settings(1.0, 2, 0.6), kDraws), {0.0, 1.0, 0.0, 0.0});
}

TEST_CASE("a draw is a function of the seed and the position") {
  const auto logits = at::zeros({1000});
  auto config = settings(1.0);
  std::set<int64_t> tokens;
  for (int64_t position = 0; position < 50; ++position) {
    const int64_t token = sample_token(logits, config, position);
    CHECK(token == sample_token(logits, config, position));
    tokens.insert(token);
  }
  CHECK(tokens.size() > 40);
  const int64_t before = sample_token(logits, config, 0);
  config.seed = 43;
  CHECK(sample_token(logits, config, 0) != before);
}

TEST_CASE("tokens of probability 0 never come; logits that are no numbers are refused") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (int64_t position = 0; position < 100; ++position)
    CHECK(sample_token(at::tensor({-kInfinity, 1.0F, -kInfinity}), settings(1.0), position) == 1);
  for (const double temperature : {0.0, 1.0}) {
    for (const float bad : {kInfinity, std::nanf("")}) {
      const auto error = caught([&] { sample_token(at::tensor({0.0F, bad}), settings(temperature), 0); });
      CHECK(error.code() == ExitCode::kBadInput);
      CHECK(contains(error.what(), "logits: expected finite numbers"));
    }
    CHECK(contains(caught([&] { sample_token(at::full({3}, -kInfinity), settings(temperature), 0); }).what(),
                   "an infinite one"));
  }
}

}  // namespace
}  // namespace bilens::sampler_test
