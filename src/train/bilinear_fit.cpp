#include "bilens/train/bilinear_fit.h"

#include <ATen/ATen.h>

#include "bilens/core/stop.h"

namespace bilens {

at::Tensor BilinearFactors::hidden(const at::Tensor& x) const {
  const auto h = x.mm(gate.t()).mul_(x.mm(up.t()));
  return down.size(1) == h.size(1) ? h : at::cat({h, at::ones({h.size(0), 1}, h.options())}, 1);
}

namespace {

double inner_product(const at::Tensor& a, const at::Tensor& b) {
  return (a * b).sum(at::kDouble).item<double>();
}

/// The normal equations of one factor A: y = P (Ax ⊙ o) + p with o = the other factor times x.
struct NormalEquations {
  const FitData& data;
  const at::Tensor& other;
  at::Tensor down;      // P without its constant column
  at::Tensor constant;  // that column, or undefined

  /// Σ (Pᵀr ⊙ o) xᵀ for the weighted residuals r of a part.
  at::Tensor adjoint(const at::Tensor& r, const at::Tensor& o, const at::Tensor& x) const {
    return r.mm(down).mul_(o).t().mm(x);
  }

  /// −½ times the gradient of Σ w‖t − y‖² at A, and the diagonal of the normal equations.
  std::pair<at::Tensor, at::Tensor> right_side(const at::Tensor& a) const {
    auto gradient = at::zeros_like(a), diagonal = at::zeros_like(a);
    data([&](const FitRows& rows) {
      const auto& x = rows.inputs;
      const auto w = rows.weights.unsqueeze(1), o = x.mm(other.t());
      auto r = rows.targets - x.mm(a.t()).mul_(o).mm(down.t());
      if (constant.defined()) r -= constant;
      gradient += adjoint(r * w, o, x);
      diagonal += (o.square() * w).t().mm(x.square());
    });
    return {gradient, diagonal * down.square().sum(0).unsqueeze(1)};
  }

  at::Tensor times(const at::Tensor& step) const {
    auto result = at::zeros_like(step);
    data([&](const FitRows& rows) {
      const auto& x = rows.inputs;
      const auto o = x.mm(other.t());
      result += adjoint(x.mm(step.t()).mul_(o).mm(down.t()).mul_(rows.weights.unsqueeze(1)), o, x);
    });
    return result;
  }
};

}  // namespace

at::Tensor fit_side(const FitData& data, const BilinearFactors& factors, Side side,
                    const SideFitConfig& config) {
  const auto& start = side == Side::kGate ? factors.gate : factors.up;
  const auto& other = side == Side::kGate ? factors.up : factors.gate;
  const int64_t units = start.size(0);
  const bool has_constant = factors.down.size(1) > units;
  const NormalEquations equations{data, other, factors.down.narrow(1, 0, units),
                                  has_constant ? factors.down.select(1, units) : at::Tensor()};
  auto [residual, diagonal] = equations.right_side(start);
  const auto damping = diagonal * config.damping;
  // Entries that nothing depends on have no gradient: any divisor but 0 leaves them as they are.
  const auto preconditioner = at::where(diagonal > 0, diagonal, at::ones_like(diagonal));

  auto change = at::zeros_like(start);
  auto scaled = residual / preconditioner;
  auto direction = scaled.clone();
  double product = inner_product(residual, scaled);
  const double enough = product * 1e-30;  // beyond what float64 resolves
  for (int64_t step = 0; step < config.steps && product > enough; ++step) {
    if (stop_requested()) throw Stopped{};
    const auto image = equations.times(direction) + damping * direction;
    const double curvature = inner_product(direction, image);
    if (!(curvature > 0)) break;
    const double length = product / curvature;
    change.add_(direction, length);
    residual.sub_(image, length);
    scaled = residual / preconditioner;
    const double next = inner_product(residual, scaled);
    direction = scaled + direction * (next / product);
    product = next;
  }
  return start + change;
}

double fit_side_flops(const BilinearFactors& factors, const SideFitConfig& config) {
  constexpr int64_t kBefore = 6, kOfStep = 5;  // products with a factor: of right_side(), of times()
  return 2.0 * static_cast<double>((kBefore + kOfStep * config.steps) * factors.gate.numel());
}

}  // namespace bilens
