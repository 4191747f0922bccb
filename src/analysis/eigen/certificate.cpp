#include "bilens/analysis/eigen/certificate.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "bilens/analysis/eigen/factor_error.h"
#include "bilens/core/stop.h"
#include "forms/add_transpose.h"

namespace bilens {

namespace {

constexpr double kUnderflow = 1e-300;  // more than all products below float64's range add up to
constexpr int64_t kProvedAtOnce = 64;  // that share one float64 copy of the weights

/// Whether A − cI is positive semidefinite in spite of rounding, A [d, d] symmetric with a positive diagonal;
/// `error` bounds ‖A − the exact matrix‖. A is used up; `factor` [d, d] takes the decomposition.
bool proves_positive(at::Tensor& a, double error, at::Tensor& factor) {
  const double g = higham_gamma(static_cast<double>(a.size(0) + 1));
  const auto diagonal = a.diagonal();
  const double trace = diagonal.abs().sum().item<double>();
  // By substitution, L costs γ·trace at most; what is measured of it instead counts sizes twice.
  const double margin = (a.is_cuda() ? 4 : 1) * g * trace / (1 - g);
  diagonal.sub_(margin + error);
  auto info = at::empty({}, a.options().dtype(at::kInt));
  // Columns are what the library stores: of a symmetric matrix they are the rows.
  auto columns = factor.t();
  at::linalg_cholesky_ex_out(columns, info, a.t(), /*upper=*/true, /*check_errors=*/false);
  if (info.item<int>() != 0) return false;
  return a.is_cuda() ? factor_error(a, factor) <= margin : factor.diagonal().isfinite().all().item<bool>();
}

}  // namespace

Certifier::Certifier(const InteractionOperator& exact) : exact_(exact) {
  const auto& layer = exact.layer();
  gate_ = layer.gate.to(at::kDouble);
  up_ = layer.up.to(at::kDouble);
  // Twice h: an entry of W or V may itself be a sum over the hidden units, which a trace taken out is. Then
  // the gain of a norm or the slope of a unit in each factor, scales, and the products themselves.
  terms_ = 2 * layer.d_hidden() + 12;
  if (layer.down.defined()) terms_ += layer.d_out();  // s = UP
  if (exact.embed().defined()) {
    const auto e = exact.embed().to(at::kDouble);
    const auto sizes = at::cat({gate_, up_}).abs_().mm(e.abs());
    gate_ = gate_.mm(e);
    up_ = up_.mm(e);
    terms_ += 2 * e.size(0);
    forming_errors_ = forming_errors(sizes);
  } else {
    forming_errors_ = forming_errors(at::cat({gate_, up_}).abs_());
  }
  weighted_up_ = at::empty_like(up_);
  q_ = at::empty({up_.size(1), up_.size(1)}, up_.options());
  for (auto* side : {&below_, &above_}) *side = {at::empty_like(q_), at::empty_like(q_)};
}

void Certifier::form(int64_t index) {
  const auto half = (exact_.scales()[index].to(at::kDouble) * 0.5).unsqueeze(1);
  at::mul_out(weighted_up_, up_, half);
  at::mm_out(q_, gate_.t(), weighted_up_);
  add_transpose(q_);
}

/// γ·‖N‖₂ of every direction, N = ½(|W|ᵀ|s||V| + |V|ᵀ|s||W|) ≥ 0, by ‖N‖₂ ≤ max_i (Ny)_i/y_i for any y > 0
/// (Collatz–Wielandt), which two steps of the power method make sharp: [n] float64, CPU.
/// @param sizes |W| above |V|, over the input [2h, d]
at::Tensor Certifier::forming_errors(const at::Tensor& sizes) const {
  const auto& layer = exact_.layer();
  const auto u = exact_.directions().to(at::kDouble).abs();
  const auto s = layer.down.defined() ? u.mm(layer.down.to(at::kDouble).abs()) : u;
  const PackedMatrix stack(sizes);
  auto y = at::ones({s.size(0), sizes.size(1)}, s.options());
  at::Tensor bound;
  for (int step = 0; step < 3; ++step) {
    const auto image = apply_interaction(stack, s, y.unsqueeze(1)).squeeze(1);
    bound = (image / y).amax(1);
    y = image + image.amax(1, true) * 1e-3 + std::numeric_limits<double>::min();
  }
  const auto terms = static_cast<double>(terms_);
  return (bound * (higham_gamma(terms) * (1 + higham_gamma(2.0 * terms))) + kUnderflow).cpu();
}

/// Bounds the rounding of Q as it was formed, and of Σ_l λ_l v_l v_lᵀ as a product. The latter is
/// γ_(k+4)·‖Σ |λ_l||v_l||v_l|ᵀ‖ at most, and Σ|λ| times the largest ‖v‖² bounds that norm.
double Certifier::rounding(int64_t index, const at::Tensor& eigenvalues, const at::Tensor& x) const {
  return forming_errors_[index].item<double>() + higham_gamma(static_cast<double>(x.size(0)) + 4) *
                                                     eigenvalues.abs().sum().item<double>() *
                                                     x.square().sum(1).amax().item<double>();
}

double Certifier::bound(int64_t index, const at::Tensor& eigenvalues, const at::Tensor& eigenvectors,
                        double next) {
  form(index);
  const auto lambda = eigenvalues.to(q_.device(), at::kDouble);
  const auto x = eigenvectors.to(q_.device(), at::kDouble);
  const auto weight = lambda.abs();
  const double error = rounding(index, lambda, x);  // the rank-k term is what it is: any X and Θ ≥ 0 serve
  const double last = weight[-1].item<double>();
  const auto proves = [&](Side& side, double sign, double tau) {  // τI ∓ Q + X±|Θ|X±ᵀ ≻ 0
    const auto rows = x * (lambda * sign).gt(0).unsqueeze(1);
    at::addmm_out(side.shifted, q_, rows.t() * weight, rows, -sign);
    side.shifted.diagonal().add_(tau);
    return proves_positive(side.shifted, error + higham_gamma(2) * tau, side.factor);
  };
  // More than proofs lose: |tr Q| is at most Σ|λ| of the listed and d|λ_k| where nothing is missing.
  const auto d = static_cast<double>(q_.size(0));
  const double trace = 2 * (d * last + weight.sum().item<double>());
  const double slack =
      std::max({4 * error + 5 * higham_gamma(d + 1) * trace, 1e-9 * weight[0].item<double>(), 1e-280});
  for (const double tau : {0.5 * (last + std::min(next, last)), last + slack}) {
    bool proved[2] = {false, false};
    at::parallel_for(0, 2, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        proved[i] = i == 0 ? proves(below_, 1, tau) : proves(above_, -1, tau);
    });
    if (proved[0] && proved[1]) return tau;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

double Certifier::remainder(int64_t index, const at::Tensor& eigenvalues, const at::Tensor& eigenvectors) {
  form(index);
  const auto lambda = eigenvalues.to(q_.device(), at::kDouble);
  const auto x = eigenvectors.to(q_.device(), at::kDouble);
  auto& rest = below_.shifted;
  at::addmm_out(rest, q_, x.t() * lambda, x, 1, -1);
  const double size = rest.norm().item<double>();
  if (!std::isfinite(size)) return std::numeric_limits<double>::quiet_NaN();
  const double largest = at::linalg_eigvalsh(rest).abs().max().item<double>();
  // A symmetric eigensolver gives the eigenvalues of a matrix within a small multiple of d·u·‖·‖_F.
  const auto d = static_cast<double>(q_.size(0));
  return (largest + 10 * higham_gamma(d) * size + rounding(index, lambda, x)) * (1 + higham_gamma(d));
}

at::Tensor remainder_bounds(const EigenProblem& problem, const EigenPairs& pairs, at::Device device) {
  const auto there = problem.on(device);
  const InteractionOperator all(there.layer, there.directions, there.embed);
  auto bounds = at::empty({pairs.size()}, at::kDouble);
  for (int64_t first = 0; first < pairs.size(); first += kProvedAtOnce) {
    const int64_t count = std::min(kProvedAtOnce, pairs.size() - first);
    const auto part = all.select(at::arange(first, first + count, all.scales().options().dtype(at::kLong)));
    Certifier certifier(part);
    for (int64_t i = 0; i < count; ++i) {
      if (stop_requested()) throw Stopped{};
      bounds[first + i] = certifier.remainder(i, pairs.eigenvalues[first + i], pairs.eigenvectors[first + i]);
    }
  }
  return bounds;
}

}  // namespace bilens
