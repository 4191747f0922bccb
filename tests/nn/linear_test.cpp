#include "bilens/nn/linear.h"

#include <ATen/ATen.h>

#include "catch.h"
#include "gradients.h"

namespace bilens::linear_test {
namespace {

constexpr double kEps = 1.2e-7;

TEST_CASE("a single row is multiplied as many are") {
  // Rows in fours and left over, widths in whole vectors and not; the last is split among threads.
  const std::vector<std::pair<int64_t, int64_t>> shapes = {{1, 1},  {5, 3},    {7, 17},    {4, 16},
                                                           {9, 40}, {64, 288}, {13, 2500}, {3000, 33}};
  for (const auto& [rows, width] : shapes) {
    CAPTURE(rows, width);
    const auto w = normal({rows, width}, 1), x = normal({1, width}, 2), b = normal({rows}, 3);
    const auto expected = x.mm(w.t()) + b;
    const auto size = x.abs().mm(w.abs().t()) + b.abs();  // what rounding is relative to
    const auto half = rows / 2;
    const auto weight = w.to(at::kFloat), bias = b.to(at::kFloat), in = x.to(at::kFloat);
    const auto one = linear(in, {weight}, {bias});
    // Apart in memory: a product for each.
    const auto two =
        linear(in.view({1, 1, width}),
               {weight.narrow(0, 0, half).clone(), weight.narrow(0, half, rows - half).clone()}, {bias});
    const auto bound = size * (4 + static_cast<double>(width) / 4) * kEps;
    CHECK(((one - expected).abs() <= bound).all().item<bool>());
    CHECK(((two.view({1, rows}) - expected).abs() <= bound).all().item<bool>());
    CHECK(two.sizes() == at::IntArrayRef({1, 1, rows}));
  }
}

}  // namespace
}  // namespace bilens::linear_test
