#include "bilens/train/document_sums.h"

#include <ATen/ATen.h>

#include <cmath>

#include "bilens/tensor/random.h"
#include "catch.h"

namespace bilens::document_sums_test {
namespace {

/// Documents of 3, 4 and 5 tokens.
TokenStream three_documents() { return {at::arange(12).to(at::kUInt16), {0, 3, 7}}; }

TEST_CASE("figures of predicted tokens are summed over the documents that these stand in") {
  DocumentSums sums(three_documents(), 12, 2);
  // Rows from 0 and 5: their predictions are tokens 1 to 5, and 6 to 10.
  const auto figure = at::arange(10, at::kDouble).view({2, 5});
  sums.add({0, 5}, {figure, figure * 10});
  CHECK(sums.tokens().equal(at::tensor({2, 4, 4}, at::kLong)));
  const auto expected = at::tensor({0.0 + 1, 2.0 + 3 + 4 + 5, 6.0 + 7 + 8 + 9}, at::kDouble);
  CHECK(sums.sums()[0].equal(expected));
  CHECK(sums.sums()[1].equal(expected * 10));
}

TEST_CASE("documents behind what is read are left out") {
  DocumentSums sums(three_documents(), 7, 1);
  sums.add({0}, {at::ones({1, 6}, at::kDouble)});
  CHECK(sums.tokens().equal(at::tensor({2, 4}, at::kLong)));
  // One that begins before the end is read in part.
  CHECK(DocumentSums(three_documents(), 8, 1).tokens().size(0) == 3);
}

TEST_CASE("an interval is Student's t on what documents leave of the ratio") {
  // By scipy: R = 4/10 = .4; S − RT = .2, .8, −1 of tokens 2, 3, 5; √(3/2 · 1.68)/10 · t.ppf(.975, 2).
  const auto tokens = at::tensor({2, 0, 3, 5}, at::kLong);
  const auto sums = at::tensor({1.0, 0.0, 2.0, 1.0}, at::kDouble), alike = tokens.to(at::kDouble) * 0.5;
  const auto found = document_intervals(tokens, at::stack({sums, alike}));
  CHECK(found[0].mean == Approx(0.4));
  CHECK(found[0].high - found[0].mean == Approx(0.6830249460474166).epsilon(1e-12));
  CHECK(found[0].mean - found[0].low == Approx(0.6830249460474166).epsilon(1e-12));
  CHECK(found[0].documents == 3);  // one has no tokens
  CHECK(found[0].flip_p == 0.25);  // of sums 1, 2 and 1: two of eight flips
  CHECK(found[0].flips == 8);
  CHECK(found[1].low == Approx(0.5));
  CHECK(found[1].high == Approx(0.5));
}

TEST_CASE("one document gives no interval") {
  const auto one =
      document_intervals(at::tensor({0, 4}, at::kLong), at::tensor({0.0, 2.0}, at::kDouble).unsqueeze(0))[0];
  CHECK(one.mean == 0.5);
  CHECK(std::isnan(one.low));
  CHECK(std::isnan(one.high));
  CHECK(one.documents == 1);
  CHECK(IntervalRecord::record().write(one).dump() ==
        R"({"mean":0.5,"low":null,"high":null,"documents":1,"flip_p":null,"flips":0})");
}

/// The share of 95% intervals that hold the mean, of 4000 texts of such documents.
double coverage(const at::Tensor& tokens, uint64_t seed) {
  constexpr int64_t kTexts = 4000;
  const auto noise = at::randn({kTexts, tokens.size(0)}, make_generator(at::kCPU, seed), at::kDouble);
  int64_t held = 0;
  for (const auto& interval : document_intervals(tokens, (0.3 + noise) * tokens))
    held += interval.low <= 0.3 && 0.3 <= interval.high;
  return static_cast<double>(held) / kTexts;
}

TEST_CASE("95% intervals hold the mean in 95 of 100 texts, however few documents there are") {
  // Drawing documents anew (percentiles) would hold it in .51, .72, .82, .88 and .90 of them.
  for (const int64_t n : {2, 3, 5, 8, 12}) {
    const double error = std::sqrt(0.95 * 0.05 / 4000);
    CAPTURE(n);
    CHECK(std::abs(coverage(at::full({n}, 200, at::kLong), static_cast<uint64_t>(n)) - 0.95) < 4 * error);
  }
}

TEST_CASE("documents of very different lengths cost an interval some of its coverage") {
  // Eight times as long, and as far from the mean as the short ones: it holds the mean in .93.
  const auto tokens = at::tensor({50, 60, 80, 100, 120, 150, 180, 220, 260, 300, 350, 400}, at::kLong);
  for (const uint64_t seed : {1, 2, 3}) {
    CHECK(coverage(tokens, seed) > 0.92);
    CHECK(coverage(tokens, seed) < 0.94);
  }
}

}  // namespace
}  // namespace bilens::document_sums_test
