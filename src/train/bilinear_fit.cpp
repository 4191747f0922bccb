#include "bilens/train/bilinear_fit.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <memory>

#include "bilens/core/stop.h"

namespace bilens {

at::Tensor BilinearFactors::hidden(const at::Tensor& x) const {
  const auto h = x.mm(gate.t()).mul_(x.mm(up.t()));
  return !has_biases() ? h : at::cat({h, at::ones({h.size(0), 1}, h.options())}, 1);
}

FitData keep_rows(const FitData& data, int64_t bytes) {
  auto kept = std::make_shared<std::vector<FitRows>>();
  int64_t used = 0;
  data([&](const FitRows& rows) {
    used += static_cast<int64_t>(rows.inputs.nbytes() + rows.targets.nbytes() + rows.weights.nbytes());
    if (used <= bytes) kept->push_back(rows);
  });
  if (used > bytes) return data;
  return [kept](const std::function<void(const FitRows&)>& use) {
    for (const auto& rows : *kept) {
      if (stop_requested()) throw Stopped{};
      use(rows);
    }
  };
}

namespace {

constexpr int64_t kMomentsOf = 4;  // parts, of which the first gives the moments of a preconditioner

double inner_product(const at::Tensor& a, const at::Tensor& b) {
  return (a * b).sum(at::kDouble).item<double>();
}

/// A symmetric positive matrix with 1e-3 of its mean diagonal element added, as its Cholesky factor.
at::Tensor factorised(const at::Tensor& matrix) {
  const double unit = matrix.diagonal().mean().item<double>();
  const auto added = at::eye(matrix.size(0), matrix.options()) * (unit > 0 ? 1e-3 * unit : 1.0);
  return at::linalg_cholesky(matrix + added);
}

/// The normal equations of one factor A: y = P (Ax ⊙ o) + p with o = the other factor times x.
class NormalEquations {
 public:
  NormalEquations(const FitData& data, const BilinearFactors& factors, Side side)
      : data_(data),
        other_(side == Side::kGate ? factors.up : factors.gate),
        down_(factors.down.narrow(1, 0, other_.size(0))),
        constant_(factors.has_biases() ? factors.down.select(1, other_.size(0)) : at::Tensor()) {}

  /// −½ times the gradient of Σ w‖t − y‖² at A. Also takes what diagonal() and precondition() need.
  at::Tensor right_side(const at::Tensor& a) {
    const auto wide = a.options().dtype(at::kDouble);
    auto gradient = at::zeros_like(a), diagonal = at::zeros_like(a);
    auto of_inputs = at::zeros({a.size(1), a.size(1)}, wide),
         of_units = at::zeros({a.size(0), a.size(0)}, wide);
    int64_t part = 0, used = 0;
    data_([&](const FitRows& rows) {
      const auto& x = rows.inputs;
      const auto w = rows.weights.unsqueeze(1), o = x.mm(other_.t());
      auto r = rows.targets - x.mm(a.t()).mul_(o).mm(down_.t());
      if (constant_.defined()) r -= constant_;
      gradient += adjoint(r * w, o, x);
      diagonal += (o.square() * w).t().mm(x.square());
      if (part++ % kMomentsOf == 0) of_inputs += x.t().mm(x * w), of_units += o.t().mm(o * w);
      used += static_cast<int64_t>(o.nbytes());
      if (used <= kKeptProducts) kept_.push_back(o);
    });
    diagonal_ = diagonal * down_.square().sum(0).unsqueeze(1);
    const auto columns = down_.to(at::kDouble);
    of_units_ = factorised(of_units * columns.t().mm(columns));
    of_inputs_ = factorised(of_inputs);
    return gradient;
  }

  const at::Tensor& diagonal() const { return diagonal_; }

  at::Tensor times(const at::Tensor& step) const {
    auto result = at::zeros_like(step);
    size_t part = 0;
    data_([&](const FitRows& rows) {
      const auto& x = rows.inputs;
      const auto o = part < kept_.size() ? kept_[part] : x.mm(other_.t());
      ++part;
      result += adjoint(x.mm(step.t()).mul_(o).mm(down_.t()).mul_(rows.weights.unsqueeze(1)), o, x);
    });
    return result;
  }

  /// An approximate inverse but for its scale, as if o and x were independent:
  /// (PᵀP ⊙ Σ w ooᵀ)⁻¹ R (Σ w xxᵀ)⁻¹.
  at::Tensor precondition(const at::Tensor& r) const {
    const auto left = at::cholesky_solve(r.to(at::kDouble), of_units_);
    return at::cholesky_solve(left.t(), of_inputs_).t().to(r.scalar_type()).contiguous();
  }

 private:
  /// Σ (Pᵀr ⊙ o) xᵀ for the weighted residuals r of a part.
  at::Tensor adjoint(const at::Tensor& r, const at::Tensor& o, const at::Tensor& x) const {
    return r.mm(down_).mul_(o).t().mm(x);
  }

  const FitData& data_;
  const at::Tensor& other_;
  at::Tensor down_;      // P without its constant column
  at::Tensor constant_;  // that column, or undefined
  at::Tensor diagonal_, of_units_, of_inputs_;
  std::vector<at::Tensor> kept_;  // o of the first parts
};

}  // namespace

at::Tensor fit_side(const FitData& data, const BilinearFactors& factors, Side side,
                    const SideFitConfig& config) {
  const auto& start = side == Side::kGate ? factors.gate : factors.up;
  NormalEquations equations(data, factors, side);
  auto residual = equations.right_side(start);
  const auto damping = equations.diagonal() * config.damping;

  auto change = at::zeros_like(start);
  auto scaled = equations.precondition(residual);
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
    scaled = equations.precondition(residual);
    const double next = inner_product(residual, scaled);
    direction = scaled + direction * (next / product);
    product = next;
  }
  return start + change;
}

double fit_side_flops(const BilinearFactors& factors, const SideFitConfig& config) {
  constexpr int64_t kBefore = 6, kOfStep = 4;  // products with a factor: of right_side(), of times()
  const auto units = static_cast<double>(factors.gate.size(0)),
             inputs = static_cast<double>(factors.gate.size(1));
  const double products = static_cast<double>(kBefore + kOfStep * config.steps) * units * inputs;
  return 2.0 * (products + (units * units + inputs * inputs) / kMomentsOf);
}

}  // namespace bilens
