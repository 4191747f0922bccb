#include "bilens/nn/distillation.h"

#include "bilens/nn/cross_entropy.h"
#include "bilens/nn/soft_cap.h"
#include "catch.h"
#include "gpu.h"
#include "gradients.h"

namespace bilens::distillation_test {
namespace {

constexpr double kEps = 1.2e-7;

/// The definition, by autograd.
at::Tensor composed(const at::Tensor& z, const at::Tensor& t, const at::Tensor& targets,
                    const DistillationWeights& w) {
  const auto kept = targets.ge(0);
  const auto data = -z.log_softmax(1).gather(1, targets.clamp_min(0).unsqueeze(1)).squeeze(1);
  const auto q = (t / w.temperature).softmax(1);
  const auto divergence = (q * (q.log() - (z / w.temperature).log_softmax(1))).sum(1);
  return ((w.cross_entropy * data + w.divergence * w.temperature * w.temperature * divergence) * kept).sum();
}

void check_against_definition(at::Device device) {
  // With 40,000 words a part of the logits has 32 rows on the CPU: three parts, the last one shorter.
  for (const auto& [rows, words] : std::vector<std::pair<int64_t, int64_t>>{{1, 2}, {37, 11}, {70, 40'000}}) {
    for (const DistillationWeights w :
         {DistillationWeights{0.3, 0.7, 1.0}, {0.0, 1.0, 2.5}, {1.0, 0.0, 1.0}}) {
      const double cap = w.temperature == 1.0 ? 0 : 1.5, teacher_cap = w.temperature == 1.0 ? 0 : 2.5;
      CAPTURE(rows, words, w.divergence, w.temperature);
      const std::vector<at::Tensor> in = {normal({rows, 6}, 1), normal({words, 6}, 2)};
      const auto y = normal({rows, 4}, 3), head = normal({words, 4}, 4);
      auto targets = at::arange(rows, at::kLong) * 7 % words;
      if (rows > 1) targets[1] = -1;
      const auto whole = [&](const std::vector<at::Tensor>& t) {
        return composed(soft_capped(t[0].mm(t[1].t()), cap), soft_capped(y.mm(head.t()), teacher_cap),
                        targets, w);
      };
      const auto parts = [&](const std::vector<at::Tensor>& t) {
        const auto as_there = t[0].options().requires_grad(false);
        return distillation_sum(t[0], {t[1], cap}, y.to(as_there), {head.to(as_there), teacher_cap},
                                targets.to(device), w);
      };
      const auto expected = value_and_gradients(whole, in, at::kDouble);
      // As for the cross-entropy: the gradient of x is a sum over all words.
      const double factor = 100 + static_cast<double>(words) / 50;
      CHECK(worst_relative(value_and_gradients(parts, in, at::kFloat, device), expected) < factor * kEps);
      CHECK(worst_relative(value_and_gradients(parts, in, at::kDouble, device), expected) < factor * 2.3e-16);
    }
  }
}

TEST_CASE("loss and gradients are those of the definition in float64") { check_against_definition(at::kCPU); }

TEST_CASE("loss and gradients on a GPU are those of the definition in float64", "[gpu]") {
  if (test::have_gpu()) check_against_definition(at::kCUDA);
}

TEST_CASE("a teacher that says the same costs nothing, and its own loss is the cross-entropy") {
  const auto x = normal({9, 5}, 1), head = normal({13, 5}, 2);
  const auto targets = at::arange(9, at::kLong);
  for (const double temperature : {1.0, 3.0}) {
    // Exactly zero: the two distributions are the same numbers.
    CHECK(distillation_sum(x, head, x, head, targets, {0.0, 1.0, temperature}).item<double>() == 0.0);
  }
  CHECK(distillation_sum(x, head, x, head, targets, {1.0, 1.0, 1.0}).item<double>() ==
        Approx(cross_entropy_sum(x, head, targets).item<double>()).epsilon(1e-14));
}

TEST_CASE("a row that is not counted changes nothing") {
  const auto x = normal({3, 5}, 1), head = normal({7, 5}, 2), y = normal({3, 5}, 3);
  const auto loss = [&](int64_t rows, const at::Tensor& targets) {
    return distillation_sum(x.narrow(0, 0, rows), head, y.narrow(0, 0, rows), head, targets, {0.5, 0.5, 2.0})
        .item<double>();
  };
  CHECK(loss(3, at::tensor({4, 0, -1}, at::kLong)) ==
        Approx(loss(2, at::tensor({4, 0}, at::kLong))).epsilon(1e-14));
}

TEST_CASE("the error of hidden states by hand, and its gradients") {
  const auto t = at::tensor({3.0, 4.0, 0.0, 2.0}, at::kDouble).view({1, 2, 2});  // two tokens, ‖t‖² 25 and 4
  const auto h = at::tensor({3.0, 4.0, 1.0, 2.0}, at::kDouble).view({1, 2, 2});
  CHECK(state_error_sum({h}, {t}).item<double>() == Approx(1.0 / 4).epsilon(1e-14));
  CHECK(state_error_sum({t, t}, {h, t}).item<double>() == Approx(1.0 / 5 / 2).epsilon(1e-14));
  const auto taught = normal({2, 5, 7}, 3);
  const auto error = [&](const std::vector<at::Tensor>& in) {
    return state_error_sum({in[0], in[1]}, {taught, taught * 2}).view({1});
  };
  const std::vector<at::Tensor> in = {normal({2, 5, 7}, 1), normal({2, 5, 7}, 2)};
  const auto expected = value_and_gradients(error, in, at::kDouble);
  // d/dh = 2 (h − t) / ‖t‖² / layers, times the fixed weight of the one value.
  const auto weight = normal({1}, 99).item<double>();
  const auto by_hand = weight * (in[0] - taught) / taught.square().sum(-1, true);
  CHECK((expected[1] - by_hand).abs().max().item<double>() < 1e-13 * by_hand.abs().max().item<double>());
  CHECK(worst_relative(value_and_gradients(error, in, at::kFloat), expected) < 100 * kEps);
}

TEST_CASE("the error of hidden states in bfloat16 is summed in float32") {
  const auto h = normal({4, 64, 32}, 4).to(at::kBFloat16), t = normal({4, 64, 32}, 5).to(at::kBFloat16);
  const auto sum = state_error_sum({h}, {t});
  CHECK(sum.scalar_type() == at::kFloat);
  const double exact = state_error_sum({h.to(at::kDouble)}, {t.to(at::kDouble)}).item<double>();
  CHECK(sum.item<double>() == Approx(exact).epsilon(1e-5));  // 256 terms in float32; bfloat16 keeps 3e-3
}

}  // namespace
}  // namespace bilens::distillation_test
