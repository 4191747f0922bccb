#include "bilens/train/bilinear_fit.h"

#include <ATen/ATen.h>

#include "catch.h"

namespace bilens::bilinear_fit_test {
namespace {

double difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }
at::Tensor doubles(at::IntArrayRef shape) { return at::randn(shape, at::kDouble); }

/// All rows, `size` at a time.
FitData in_parts(const FitRows& rows, int64_t size) {
  return [=](const std::function<void(const FitRows&)>& use) {
    const int64_t n = rows.inputs.size(0);
    for (int64_t begin = 0; begin < n; begin += size) {
      const auto part = [&](const at::Tensor& all) { return all.slice(0, begin, std::min(begin + size, n)); };
      use({part(rows.inputs), part(rows.targets), part(rows.weights)});
    }
  };
}

at::Tensor outputs(const BilinearFactors& layer, const at::Tensor& x) {
  return layer.hidden(x).mm(layer.down.t());
}

double squared_error(const BilinearFactors& layer, const FitRows& rows) {
  return ((rows.targets - outputs(layer, rows.inputs)).square().sum(1) * rows.weights).sum().item<double>();
}

struct Planted {
  BilinearFactors layer;
  FitRows rows;
};

/// A layer with 3 units of 5 inputs and 4 outputs, the constant included, and what it gives.
Planted planted(uint64_t seed) {
  at::manual_seed(seed);
  const BilinearFactors layer = {doubles({3, 5}), doubles({3, 5}), doubles({4, 4})};
  const auto x = doubles({200, 5});
  return {layer, {x, outputs(layer, x), at::rand({200}, at::kDouble) + 0.5}};
}

TEST_CASE("the hidden vector is the product of both sides, with a 1 where P has a column for it") {
  const auto [layer, rows] = planted(1);
  const auto h = layer.hidden(rows.inputs);
  REQUIRE(h.sizes() == at::IntArrayRef({200, 4}));
  const auto x = rows.inputs[7];
  CHECK(difference(h[7].slice(0, 0, 3), layer.gate.mv(x) * layer.up.mv(x)) < 1e-14);
  CHECK(h[7][3].item<double>() == 1.0);
  const BilinearFactors plain = {layer.gate, layer.up, layer.down.slice(1, 0, 3)};
  CHECK(plain.hidden(rows.inputs).size(1) == 3);
}

TEST_CASE("rows that fit into memory are read once, others each time") {
  const auto rows = planted(6).rows;
  int64_t passes = 0;
  const FitData counted = [&](const std::function<void(const FitRows&)>& use) {
    ++passes;
    in_parts(rows, 64)(use);
  };
  const auto bytes =
      static_cast<int64_t>(rows.inputs.nbytes() + rows.targets.nbytes() + rows.weights.nbytes());
  for (const bool fits : {true, false}) {
    passes = 0;
    const auto data = keep_rows(counted, fits ? bytes : bytes - 1);
    for (int64_t pass = 0; pass < 3; ++pass) {
      std::vector<at::Tensor> seen;
      data([&](const FitRows& part) { seen.push_back(part.targets); });
      CHECK(at::cat(seen).equal(rows.targets));
    }
    CHECK(passes == (fits ? 1 : 4));
  }
}

TEST_CASE("one factor is recovered where the other two are known") {
  const auto [layer, rows] = planted(2);
  for (const auto side : {Side::kGate, Side::kUp}) {
    auto start = layer;
    (side == Side::kGate ? start.gate : start.up) = doubles({3, 5});
    // 15 unknowns: conjugate gradients end after 15 steps up to rounding.
    const auto found = fit_side(in_parts(rows, 64), start, side, {60, 0.0});
    CHECK(difference(found, side == Side::kGate ? layer.gate : layer.up) < 1e-9);
  }
}

TEST_CASE("a step in closed form: the damped normal equations, solved densely, in one part or many") {
  const auto [layer, rows] = planted(3);
  auto start = layer;
  start.gate = doubles({3, 5});
  // Row (n, i), column (j, k) of the Jacobian: √w_n P_ij o_nj x_nk.
  const auto o = rows.inputs.mm(layer.up.t()), root = rows.weights.sqrt();
  const auto p = layer.down.slice(1, 0, 3);
  const auto jacobian = at::einsum("n,ij,nj,nk->nijk", {root, p, o, rows.inputs}).reshape({800, 15});
  const auto residual = ((rows.targets - outputs(start, rows.inputs)) * root.unsqueeze(1)).reshape({800});
  const auto normal = jacobian.t().mm(jacobian);
  const auto system = normal + at::diag(normal.diagonal() * 0.3);
  const auto expected = start.gate + at::linalg_solve(system, jacobian.t().mv(residual)).view({3, 5});
  for (const int64_t size : {200, 64, 1}) {
    CHECK(difference(fit_side(in_parts(rows, size), start, Side::kGate, {60, 0.3}), expected) < 1e-10);
  }
  // In float32, as calibration runs it: roundings of sums of 800 terms, a few times larger by the system's
  // condition.
  const auto narrow = [](const at::Tensor& tensor) { return tensor.to(at::kFloat); };
  const BilinearFactors single = {narrow(start.gate), narrow(start.up), narrow(start.down)};
  const FitRows same = {narrow(rows.inputs), narrow(rows.targets), narrow(rows.weights)};
  const auto found = fit_side(in_parts(same, 64), single, Side::kGate, {60, 0.3});
  CHECK(found.scalar_type() == at::kFloat);
  CHECK(difference(found.to(at::kDouble), expected) < 1e-5 * expected.abs().max().item<double>());
}

TEST_CASE("a planted factor comes back in float32 with the steps and the damping of calibration") {
  const auto [layer, rows] = planted(5);
  const auto narrow = [](const at::Tensor& tensor) { return tensor.to(at::kFloat); };
  const FitRows same = {narrow(rows.inputs), narrow(rows.targets), narrow(rows.weights)};
  BilinearFactors start = {narrow(doubles({3, 5})), narrow(layer.up), narrow(layer.down)};
  const double before = squared_error(start, same);
  for (int64_t sweep = 0; sweep < 5; ++sweep) start.gate = fit_side(in_parts(same, 64), start, Side::kGate);
  CHECK(squared_error(start, same) < 1e-8 * before);  // each shrinks what is left by the damping, squared
  CHECK(difference(start.gate.to(at::kDouble), layer.gate) < 1e-3);
}

TEST_CASE("every further step lowers the error, and an unused unit keeps its weights") {
  auto [layer, rows] = planted(4);
  auto start = layer;
  start.up = doubles({3, 5});
  start.down = layer.down.clone();
  start.down.select(1, 1).zero_();
  double last = squared_error(start, rows);
  for (const int64_t steps : {1, 2, 4, 8}) {
    auto fitted = start;
    fitted.up = fit_side(in_parts(rows, 200), start, Side::kUp, {steps, 1e-9});
    CHECK(squared_error(fitted, rows) < last);
    last = squared_error(fitted, rows);
    CHECK(at::equal(fitted.up[1], start.up[1]));
  }
}

}  // namespace
}  // namespace bilens::bilinear_fit_test
