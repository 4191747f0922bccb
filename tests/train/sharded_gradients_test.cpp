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
  for (const int64_t shards : {1, 2, 4, 8}) {  // one of eight without a row
    const Problem parts;
    const auto loss = [&](int64_t begin, int64_t end) { return parts.loss(begin, end); };
    const BatchShards cut{7, shards, 0, shards, 4};
    const auto found = add_gradients({{"a", parts.a}}, cut, loss);
    // Sums of 28 squares of order 1 in float64.
    CHECK(found.item<double>() == Approx(sum.item<double>()).epsilon(1e-14));
    CHECK((parts.a.grad() - whole.a.grad()).abs().max().item<double>() < 1e-13);
    // And again on top.
    add_gradients({{"a", parts.a}}, cut, loss);
    CHECK((parts.a.grad() - 2 * whole.a.grad()).abs().max().item<double>() < 1e-13);
  }
}

TEST_CASE("a process without rows has gradients of 0") {
  const Problem parts;
  for (const int64_t at_once : {0, 2}) {
    const auto found = add_gradients({{"a", parts.a}}, {1, 2, 0, 1, at_once},
                                     [&](int64_t begin, int64_t end) { return parts.loss(begin, end); });
    CHECK(found.item<double>() == 0);
    CHECK(at::equal(parts.a.grad(), at::zeros_like(parts.a)));
  }
}

TEST_CASE("an error in one part reaches the caller") {
  const Problem parts;
  const auto error = test::caught([&] {
    add_gradients({{"a", parts.a}}, {7, 4, 0, 4, 4}, [&](int64_t begin, int64_t end) {
      if (begin > 0) throw Error(ExitCode::kBadInput, {"row", "", std::to_string(begin), ""});
      return parts.loss(begin, end);
    });
  });
  CHECK(test::contains(error.what(), "found 1"));  // the first that failed
}

TEST_CASE("a batch is cut the same for all threads, and each process has its part of the same tree") {
  const auto cut = [](int64_t bytes, int64_t rows, int64_t at_once, int64_t rank = 0, int64_t ranks = 1) {
    return cut_batch(at::kCPU, bytes, rows, 512, at_once, rank, ranks);
  };
  CHECK(cut(4, 1, 1).count == 1);
  CHECK(cut(4, 5, 5).count == 4);
  CHECK(cut(4, 1000, 1000).count == 16);
  CHECK(cut_batch(at::kCPU, 4, 64, 64, 64).count == 8);  // 4,096 tokens
  CHECK(cut_batch(at::kCPU, 4, 64, 8, 64).count == 4);
  const auto half = cut(4, 1000, 1000, 1, 2);
  CHECK((half.count == 16 && half.first == 8 && half.last == 16));
  // 64 sequences, two of them at once: as many shards for one process as for four, and two threads at work.
  CHECK(cut(4, 64, 2).count == 64);
  CHECK(cut(4, 64, 2, 3, 4).count == 64);
  CHECK(cut(4, 64, 2).at_once == 2);
  CHECK(cut(4, 64, 32).count == 32);
  CHECK(cut(120 << 20, 64, 8).at_once == 0);
  CHECK(cut(60 << 20, 64, 8).at_once == 2);    // and their sums within 512 MB
  CHECK(cut(4, 2, 2, 3, 4).count == 4);        // two of the four have no rows
  CHECK(cut(4, 12, 12, 2, 3).first == 2 * 2);  // three processes: trees of two, no common one
  CHECK(cut(60 << 20, 32, 32).count == 8);     // copies of the gradients within 512 MB
  CHECK(cut(300 << 20, 32, 32).at_once == 0);  // one after the other, on all threads
  CHECK(cut(300 << 20, 32, 8).count == 4);
  CHECK(cut(300 << 20, 32, 8, 1, 2).last == 4);
  CHECK(cut_batch(at::Device("cuda"), 4, 1000, 512, 1000).at_once == 0);  // one thread feeds it
}

TEST_CASE("threads, and processes of powers of two, give the same bits") {
  const auto gradient = [](const BatchShards& shards, int threads) {
    const int before = at::get_num_threads();
    at::set_num_threads(threads);
    Problem problem;
    problem.x = problem.x.to(at::kFloat);
    problem.a = problem.a.detach().to(at::kFloat).requires_grad_(true);
    add_gradients({{"a", problem.a}}, shards,
                  [&](int64_t begin, int64_t end) { return problem.loss(begin, end); });
    at::set_num_threads(before);
    return problem.a.grad();
  };
  const auto whole = gradient(cut_batch(at::kCPU, 80, 7, 512, 7), 1);
  CHECK(at::equal(whole, gradient(cut_batch(at::kCPU, 80, 7, 512, 7), 3)));
  const auto of = [&](int64_t rank, int64_t ranks) {
    return gradient(cut_batch(at::kCPU, 80, 7, 512, 7, rank, ranks), 2);
  };
  CHECK(at::equal(whole, of(0, 2) + of(1, 2)));
  CHECK(at::equal(whole, (of(0, 4) + of(1, 4)) + (of(2, 4) + of(3, 4))));
}

}  // namespace
}  // namespace bilens::sharded_gradients_test
