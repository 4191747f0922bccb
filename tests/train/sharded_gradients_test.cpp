#include "bilens/train/sharded_gradients.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "bilens/core/error.h"
#include "caught.h"

namespace bilens::sharded_gradients_test {
namespace {

/// Σ_i |A x_i|² over rows of x, in float64.
struct Problem {
  at::Tensor x = at::arange(35, at::kDouble).view({7, 5}).sin();
  at::Tensor a = at::arange(20, at::kDouble).view({4, 5}).cos().requires_grad_(true);

  at::Tensor loss(int64_t begin, int64_t end) const {
    return x.narrow(0, begin, end - begin).mm(a.t()).square().sum();
  }
};

TEST_CASE("parts give the sum and the gradient of the whole, whatever their number") {
  Problem whole;
  const auto sum = whole.loss(0, 7);
  sum.backward();
  for (const int64_t shards : {1, 2, 3, 7}) {
    const Problem parts;
    const auto loss = [&](int64_t begin, int64_t end) { return parts.loss(begin, end); };
    const auto found = add_gradients({{"a", parts.a}}, 7, shards, loss);
    // Sums of 28 squares of order 1 in float64.
    CHECK(found.item<double>() == Approx(sum.item<double>()).epsilon(1e-14));
    CHECK((parts.a.grad() - whole.a.grad()).abs().max().item<double>() < 1e-13);
    // And again on top.
    add_gradients({{"a", parts.a}}, 7, shards, loss);
    CHECK((parts.a.grad() - 2 * whole.a.grad()).abs().max().item<double>() < 1e-13);
  }
}

TEST_CASE("an error in one part reaches the caller") {
  const Problem parts;
  const auto error = test::caught([&] {
    add_gradients({{"a", parts.a}}, 7, 3, [&](int64_t begin, int64_t end) {
      if (begin > 0) throw Error(ExitCode::kBadInput, {"row", "", std::to_string(begin), ""});
      return parts.loss(begin, end);
    });
  });
  CHECK(test::contains(error.what(), "2"));
}

TEST_CASE("as many parts as threads, no more than rows, and one where copies would be large") {
  const int threads = at::get_num_threads();
  const Problem small;
  CHECK(count_shards({{"a", small.a}}, 1) == 1);
  CHECK(count_shards({{"a", small.a}}, 1000) == threads);
  // 300 MB, never touched.
  const auto large = at::empty({300 << 18}, at::kFloat);
  CHECK(count_shards({{"a", large}}, 1000) == 1);
  CHECK(count_shards(at::Device("cuda"), 4, 1000) == 1);  // one thread feeds it
}

}  // namespace
}  // namespace bilens::sharded_gradients_test
