#include "bilens/data/token_stream.h"

#include <ATen/ATen.h>

#include <set>

#include "bilens/data/token_windows.h"
#include "caught.h"

namespace bilens::token_stream_test {
namespace {

using test::caught;
using test::contains;

TEST_CASE("a batch has inputs, the tokens after them, and where their documents begin") {
  // Documents of 3, 4 and 2 tokens; 1 is BOS.
  const std::vector<int64_t> ids = {1, 10, 11, 1, 20, 21, 22, 1, 30};
  for (const auto type : {at::kInt, at::kUInt16}) {
    const TokenStream stream{at::tensor(ids, at::kLong).to(type), {0, 3, 7}};
    const auto batch = make_batch(stream, {0, 4, 2}, 5);
    CHECK(at::equal(batch.inputs[0], at::tensor({1, 10, 11, 1}, at::kLong)));
    CHECK(at::equal(batch.targets[0], at::tensor({10, 11, 1, 20}, at::kLong)));
    CHECK(at::equal(batch.document_starts[0], at::tensor({0, 0, 0, 3}, at::kLong)));
    CHECK(at::equal(batch.inputs[1], at::tensor({20, 21, 22, 1}, at::kLong)));
    CHECK(at::equal(batch.targets[1], at::tensor({21, 22, 1, 30}, at::kLong)));
    CHECK(at::equal(batch.document_starts[1], at::tensor({0, 0, 0, 3}, at::kLong)));
    CHECK(at::equal(batch.document_starts[2], at::tensor({0, 1, 1, 1}, at::kLong)));
  }
}

TEST_CASE("ids take two bytes up to a vocabulary of 65,536") {
  CHECK(id_type(65536) == at::kUInt16);
  CHECK(id_type(65537) == at::kInt);
  const TokenStream stream{at::tensor({65535, 0, 40000}, at::kInt).to(at::kUInt16), {0}};
  CHECK(at::equal(make_batch(stream, {0}, 3).targets, at::tensor({0, 40000}, at::kLong).view({1, 2})));
}

TEST_CASE("evaluation takes consecutive windows and keeps a last one of at least 2") {
  using Begins = std::vector<int64_t>;
  const auto eleven = evaluation_windows(11, 3, 2);
  REQUIRE(eleven.size() == 3);
  CHECK(eleven[0].begins == Begins{0, 3});
  CHECK(eleven[0].window == 3);
  CHECK(eleven[1].begins == Begins{6});
  CHECK(eleven[1].window == 3);
  CHECK(eleven[2].begins == Begins{9});
  CHECK(eleven[2].window == 2);
  CHECK(evaluation_windows(10, 3, 8).size() == 1);  // a single token left over predicts nothing
  CHECK(evaluation_windows(1, 3, 8).empty());
  CHECK(evaluation_windows(2, 512, 8).at(0).window == 2);
}

TEST_CASE("an epoch of training predicts each token once") {
  TrainingWindows windows(4 * 10 + 1, 4, 5, 7, "t");
  CHECK(windows.windows_per_epoch() == 10);
  std::set<int64_t> first, second;
  std::vector<int64_t> order_of_first, order_of_second;
  for (int64_t step = 0; step < 4; ++step) {
    const auto batch = windows.batch(step);
    CHECK(batch.window == 5);
    for (const int64_t begin : batch.begins) {
      (step < 2 ? first : second).insert(begin);
      (step < 2 ? order_of_first : order_of_second).push_back(begin);
    }
  }
  const std::set<int64_t> all = {0, 4, 8, 12, 16, 20, 24, 28, 32, 36};
  CHECK(first == all);
  CHECK(second == all);
  CHECK(order_of_first != order_of_second);
}

TEST_CASE("a step's windows are a function of the seed and the step alone, inside the data") {
  TrainingWindows a(103, 4, 3, 7, "t"), b(103, 4, 3, 7, "t"), c(103, 4, 3, 8, "t");
  bool differ = false, offset = false;
  for (int64_t step = 60; step >= 0; --step) b.batch(step);
  for (int64_t step = 0; step <= 60; ++step) {
    const auto begins = a.batch(step).begins;
    CHECK(begins == b.batch(step).begins);
    differ = differ || begins != c.batch(step).begins;
    for (const int64_t begin : begins) {
      CHECK(begin >= 0);
      CHECK(begin + 5 <= 103);
      offset = offset || begin % 4 != 0;
    }
  }
  CHECK(differ);
  CHECK(offset);  // 102 = 25 * 4 + 2: epochs cut at different places
}

TEST_CASE("fewer tokens than a sequence are refused") {
  CHECK(TrainingWindows(5, 4, 1, 0, "t").batch(3).begins == std::vector<int64_t>{0});
  const auto error = caught([] { TrainingWindows(4, 4, 1, 0, "t.txt"); });
  CHECK(error.code() == ExitCode::kBadInput);
  CHECK(contains(error.what(), "t.txt: expected at least one sequence, 5 tokens, found 4"));
}

}  // namespace
}  // namespace bilens::token_stream_test
