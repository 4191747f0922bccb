#include "bilens/nn/cross_entropy.h"

#include "bilens/core/error.h"
#include "catch.h"
#include "gradients.h"

namespace bilens::cross_entropy_test {
namespace {

constexpr double kEps = 1.2e-7;

at::Tensor composed(const at::Tensor& x, const at::Tensor& head, const at::Tensor& targets) {
  const auto kept = targets.ge(0);
  const auto logs = x.matmul(head.t()).log_softmax(1);
  return -(logs.gather(1, targets.clamp_min(0).unsqueeze(1)).squeeze(1) * kept).sum();
}

TEST_CASE("the cross-entropy by hand") {
  // Logits 0, 0 and ln 3, 0
  const auto x = at::tensor({0.0f, 1.0986123f}).view({2, 1}), head = at::tensor({1.0f, 0.0f}).view({2, 1});
  const auto terms = cross_entropies(x, head, at::tensor({1, 0}, at::kLong));
  CHECK(terms[0].item<float>() == Approx(0.6931472f).epsilon(4 * kEps));
  CHECK(terms[1].item<float>() == Approx(0.2876821f).epsilon(8 * kEps));
}

TEST_CASE("the chunked cross-entropy and its gradients are those of the whole in float64") {
  // With 40,000 words a part of the logits has 32 rows: three parts, the last one shorter.
  for (const auto& [rows, words] : std::vector<std::pair<int64_t, int64_t>>{{1, 2}, {37, 11}, {70, 40'000}}) {
    const std::vector<at::Tensor> in = {normal({rows, 6}, 1), normal({words, 6}, 2)};
    auto targets = at::arange(rows, at::kLong) * 7 % words;
    if (rows > 1) targets[1] = -1;
    const auto whole = [&](const std::vector<at::Tensor>& t) { return composed(t[0], t[1], targets); };
    const auto parts = [&](const std::vector<at::Tensor>& t) {
      return cross_entropy_sum(t[0], t[1], targets);
    };
    CAPTURE(rows, words);
    const auto expected = value_and_gradients(whole, in, at::kDouble);
    // The gradient of x is a sum over all words, which the matrix library takes in one go: its error grows
    // with their number (eager PyTorch's is twice as large).
    const double factor = 100 + static_cast<double>(words) / 50;
    CHECK(worst_relative(value_and_gradients(parts, in, at::kFloat), expected) < factor * kEps);
    CHECK(worst_relative(value_and_gradients(parts, in, at::kDouble), expected) < factor * 2.3e-16);
    const auto terms = cross_entropies(in[0].to(at::kFloat), in[1].to(at::kFloat), targets);
    CHECK(terms.sum(at::kDouble).item<double>() == Approx(expected[0].item<double>()).epsilon(20 * kEps));
  }
}

TEST_CASE("of capped logits too") {
  constexpr double kCap = 1.5;
  const std::vector<at::Tensor> in = {normal({37, 6}, 1), normal({11, 6}, 2)};
  const auto targets = at::arange(37, at::kLong) * 7 % 11;
  const auto whole = [&](const std::vector<at::Tensor>& t) {
    const auto logits = kCap * (t[0].matmul(t[1].t()) / kCap).tanh();
    return -logits.log_softmax(1).gather(1, targets.unsqueeze(1)).sum();
  };
  const auto parts = [&](const std::vector<at::Tensor>& t) {
    return cross_entropy_sum(t[0], {t[1], kCap}, targets);
  };
  const auto expected = value_and_gradients(whole, in, at::kDouble);
  CHECK(worst_relative(value_and_gradients(parts, in, at::kFloat), expected) < 100 * kEps);
  CHECK(worst_relative(value_and_gradients(parts, in, at::kDouble), expected) < 100 * 2.3e-16);
  CHECK(cross_entropies(in[0], {in[1], kCap}, targets).sum(at::kDouble).item<double>() ==
        Approx(expected[0].item<double>()).epsilon(20 * kEps));
}

TEST_CASE("a target beyond the vocabulary is named") {
  const auto x = at::zeros({1, 2}), head = at::zeros({3, 2});
  CHECK_THROWS_WITH(cross_entropy_sum(x, head, at::tensor({3}, at::kLong)), ContainsSubstring("3"));
}

}  // namespace
}  // namespace bilens::cross_entropy_test
