#include "bilens/train/document_sums.h"

#include <ATen/ATen.h>

#include <cmath>

#include "catch.h"

namespace bilens {
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

TEST_CASE("an interval holds the mean, is empty for documents that are alike, and needs two of them") {
  const auto tokens = at::tensor({2, 0, 3, 5}, at::kLong);
  const auto alike = tokens.to(at::kDouble) * 0.5, apart = at::tensor({2.0, 0.0, -3.0, 1.0}, at::kDouble);
  const auto found = bootstrap_documents(tokens, at::stack({alike, apart}), 1000, 1);
  CHECK(found[0].mean == Approx(0.5));
  CHECK(found[0].low == Approx(0.5));
  CHECK(found[0].high == Approx(0.5));
  CHECK(found[1].mean == Approx(0.0).margin(1e-12));
  CHECK(found[1].low >= -1.0);
  CHECK(found[1].low < 0);
  CHECK(found[1].high > 0);
  CHECK(found[1].high <= 1.0);
  const auto one = bootstrap_documents(at::tensor({0, 4}, at::kLong),
                                       at::tensor({0.0, 2.0}, at::kDouble).unsqueeze(0), 10, 1);
  CHECK(one[0].mean == 0.5);
  CHECK(std::isnan(one[0].low));
}

}  // namespace
}  // namespace bilens
