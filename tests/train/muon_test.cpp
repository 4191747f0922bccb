#include "bilens/train/muon.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "bilens/tensor/random.h"
#include "catch.h"
#include "optimizer_state.h"

namespace bilens::muon_test {
namespace {

using test::state_of;

at::Tensor random(at::IntArrayRef shape, uint64_t seed) {
  return at::randn(shape, make_generator(at::kCPU, seed), at::TensorOptions());
}

at::Tensor skip(bool wanted) { return at::full({1}, wanted ? 1.0f : 0.0f); }

/// Five steps of 3.4445σ − 4.775σ³ + 2.0315σ⁵ on a singular value that is a share of the norm.
double after_steps(double s) {
  for (int i = 0; i < 5; ++i) s = 3.4445 * s - 4.7750 * std::pow(s, 3) + 2.0315 * std::pow(s, 5);
  return s;
}

TEST_CASE("orthogonalized keeps the singular vectors and moves each singular value by the polynomial") {
  for (const auto& shape : std::vector<std::vector<int64_t>>{{3, 5, 8}, {2, 8, 5}, {1, 6, 6}, {2, 1, 4}}) {
    const auto given = random(shape, 3).to(at::kDouble);
    const auto [u, s, v] = at::linalg_svd(given, false);
    auto expected = (s / given.norm(2, {1, 2}, true).squeeze(-1)).clone();
    for (int64_t i = 0; i < expected.numel(); ++i)
      expected.view(-1)[i] = after_steps(expected.view(-1)[i].item<double>());
    const auto exact = u.matmul(expected.unsqueeze(-1) * v);
    CHECK((orthogonalized(given) - exact).abs().max().item<double>() < 1e-6);  // the norm is raised by 1e-7
    // Five steps on numbers around 1, each a few products of at most 8 terms whose errors grow by 3.44.
    CHECK((orthogonalized(given.to(at::kFloat)) - exact).abs().max().item<double>() < 500 * 8 * 1.2e-7);
  }
}

TEST_CASE("singular values from a hundredth of the norm on end near 1") {
  for (double s = 0.01; s <= 1.0; s += 0.001) {
    CHECK(after_steps(s) > 0.67);
    CHECK(after_steps(s) < 1.22);
  }
}

TEST_CASE("steps of Muon follow its equations in float64, shapes mixed") {
  const MuonConfig config = {0.9, 0.1, at::kFloat};
  NamedTensors list;
  std::vector<at::Tensor> expected, momenta;
  const std::vector<std::vector<int64_t>> shapes = {{4, 6}, {6, 4}, {3, 3}, {4, 6}};
  for (size_t i = 0; i < shapes.size(); ++i) {
    list.emplace_back("w" + std::to_string(i), random(shapes[i], i).requires_grad_(true));
    expected.push_back(list.back().second.detach().to(at::kDouble));
    momenta.push_back(at::zeros(shapes[i], at::kDouble));
  }
  Muon optimizer(list, config);
  for (int step = 0; step < 8; ++step) {
    const double rate = 0.1 / (1 + step);
    for (size_t i = 0; i < list.size(); ++i) {
      const auto gradient = random(shapes[i], 100 * step + i);
      list[i].second.mutable_grad() = gradient;
      const auto g = gradient.to(at::kDouble);
      momenta[i] = 0.9 * momenta[i] + 0.1 * g;
      const auto direction = orthogonalized((0.9 * momenta[i] + 0.1 * g).unsqueeze(0)).squeeze(0);
      const double scale = 0.2 * std::sqrt(static_cast<double>(std::max(shapes[i][0], shapes[i][1])));
      expected[i] = expected[i] - rate * (scale * direction + 0.1 * expected[i]);
    }
    optimizer.step(rate, skip(false));
  }
  for (size_t i = 0; i < list.size(); ++i) {
    // As above for each direction, times 0.2 √6 and the sum of rates 0.27.
    CHECK((list[i].second - expected[i]).abs().max().item<double>() < 500 * 8 * 1.2e-7 * 0.5 * 0.27);
    const auto found = state_of(optimizer, "momentum." + list[i].first);
    CHECK((found.to(at::kDouble) - momenta[i]).abs().max().item<double>() < 8 * 4 * 1.2e-7);
  }
}

TEST_CASE("an update has the root mean square of AdamW's, whatever the gradient's size") {
  auto w = at::zeros({64, 172}).requires_grad_(true);
  Muon optimizer({{"w", w}}, {0.95, 0.0, at::kFloat});
  w.mutable_grad() = random({64, 172}, 1) * 1e-5;
  optimizer.step(1.0, skip(false));
  // All singular values 1 would give 0.2 √172 · √(64 / (64 · 172)) = 0.2; they end in [0.68, 1.21].
  const double found = w.detach().square().mean().sqrt().item<double>();
  CHECK(found > 0.2 * 0.67);
  CHECK(found < 0.2 * 1.22);
}

TEST_CASE("a skipped step of Muon changes nothing, whatever the gradient holds") {
  for (const auto moments : {at::kFloat, at::kBFloat16}) {
    auto w = random({4, 3}, 1).requires_grad_(true);
    Muon optimizer({{"w", w}}, {0.95, 0.1, moments});
    w.mutable_grad() = random({4, 3}, 2);
    optimizer.step(0.1, skip(false));
    const auto before = w.detach().clone(), momentum = optimizer.state()[0].second.clone();
    w.mutable_grad() = at::full({4, 3}, NAN);
    optimizer.step(0.1, skip(true));
    CHECK(w.detach().equal(before));
    CHECK(optimizer.state()[0].second.equal(momentum));
    CHECK(momentum.scalar_type() == moments);
    w.mutable_grad() = at::zeros({4, 3});  // the momentum goes on
    optimizer.step(0.1, skip(false));
    CHECK(w.isfinite().all().item<bool>());
    CHECK_FALSE(w.detach().equal(before));
  }
}

}  // namespace
}  // namespace bilens::muon_test
