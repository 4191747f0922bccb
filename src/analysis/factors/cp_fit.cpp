#include "cp_fit.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "bilens/core/stop.h"

namespace bilens {

namespace {

constexpr int64_t kDenseUnknowns = 1200;     // up to these the linear system is solved by Cholesky
constexpr int64_t kConjugateGradients = 40;  // else, steps
constexpr int64_t kWindow = 50;              // iterations that have to bring something,
constexpr double kStagnation = 1e-5;         // this share of ‖B − M‖²
constexpr size_t kGrowth = 25;               // iterations in which terms that diverge grow by
constexpr double kGrowing = 1.1;             // this factor at least, twice in a row,
constexpr double kCancelling = 100;          // to that many times what they add up to
constexpr double kRefitted = 1e-9;           // residual of the optimality conditions of a refitted A

/// Terms with ½∇‖B − M‖², ‖B − M‖², and Σ_r ‖term r‖² over ‖M‖².
struct Point {
  CpTerms terms, gradient;
  double squared_error, cancellation;
};

Point evaluate(const BilinearLayer& layer, double squared_norm, const CpTerms& terms) {
  const auto of_layer = contract(layer, terms), of_terms = contract_self(terms);
  const double cross = (terms.output * of_layer.output).sum().item<double>();
  const double own = (terms.output * of_terms.output).sum().item<double>();
  const double apart = (terms.output.square().sum(1) * cp_gram(terms).diagonal()).sum().item<double>();
  return {terms, of_terms + (-1.0) * of_layer, squared_norm - 2 * cross + own, own > 0 ? apart / own : 1};
}

/// Block Jacobi: the inverses of ½(AAᵀ∘RRᵀ) + μI, ½(AAᵀ∘LLᵀ) + μI and Γ + μI.
class Preconditioner {
 public:
  Preconditioner(const CpTerms& terms, double damping) {
    const auto outputs = terms.output.mm(terms.output.t());
    left_ = inverse(0.5 * outputs * terms.right.mm(terms.right.t()), damping);
    right_ = inverse(0.5 * outputs * terms.left.mm(terms.left.t()), damping);
    output_ = inverse(cp_gram(terms), damping);
  }

  CpTerms operator()(const CpTerms& x) const {
    return {left_.mm(x.left), right_.mm(x.right), output_.mm(x.output)};
  }

 private:
  static at::Tensor inverse(at::Tensor matrix, double damping) {
    const double rounding = 1e-14 * matrix.diagonal().amax().item<double>();
    matrix.diagonal().add_(damping + rounding);
    return at::cholesky_inverse(std::get<0>(at::linalg_cholesky_ex(matrix)));
  }

  at::Tensor left_, right_, output_;
};

/// Unknowns of terms in a row: [..., R(2d + m)].
at::Tensor flatten(const CpTerms& x) {
  return at::cat({x.left.flatten(-2), x.right.flatten(-2), x.output.flatten(-2)}, -1);
}

CpTerms unflatten(const at::Tensor& flat, const CpTerms& like) {
  const auto parts = flat.split_with_sizes({like.left.numel(), like.right.numel(), like.output.numel()}, -1);
  return {parts[0].unflatten(-1, like.left.sizes()), parts[1].unflatten(-1, like.right.sizes()),
          parts[2].unflatten(-1, like.output.sizes())};
}

/// Solves (JᵀJ + μI)δ = −gradient.
CpTerms solve_dense(const Point& point, double damping) {
  const auto right = -flatten(point.gradient);
  const auto every = unflatten(at::eye(right.numel(), right.options()), point.terms);
  auto matrix = flatten(gauss_newton_product(point.terms, every));
  matrix.diagonal().add_(damping + 1e-15 * matrix.diagonal().amax().item<double>());
  const auto factor = std::get<0>(at::linalg_cholesky_ex(matrix));
  return unflatten(at::cholesky_solve(right.unsqueeze(1), factor).squeeze(1), point.terms);
}

/// Solves it by conjugate gradients, to the relative residual `tolerance`.
CpTerms solve_iteratively(const Point& point, double damping, double tolerance) {
  const Preconditioner precondition(point.terms, damping);
  auto residual = (-1.0) * point.gradient, solution = 0.0 * point.gradient;
  auto z = precondition(residual), direction = z;
  double product = dot(residual, z);
  const double enough = tolerance * tolerance * dot(residual, residual);
  for (int64_t step = 0; step < kConjugateGradients && dot(residual, residual) > enough; ++step) {
    const auto image = gauss_newton_product(point.terms, direction) + damping * direction;
    const double length = product / dot(direction, image);
    solution = solution + length * direction;
    residual = residual + (-length) * image;
    z = precondition(residual);
    const double next = dot(residual, z);
    direction = z + (next / product) * direction;
    product = next;
  }
  return solution;
}

CpTerms solve_step(const Point& point, double damping, double tolerance) {
  const auto& terms = point.terms;
  const int64_t unknowns = terms.left.numel() + terms.right.numel() + terms.output.numel();
  return unknowns <= kDenseUnknowns ? solve_dense(point, damping)
                                    : solve_iteratively(point, damping, tolerance);
}

bool stagnates(const std::vector<double>& history) {
  if (static_cast<int64_t>(history.size()) <= kWindow) return false;
  const double before = history[history.size() - 1 - kWindow], now = history.back();
  return before - now < kStagnation * before;
}

/// Whether the terms of a fit grow against each other while the error falls ever less: they have no limit,
/// for tensors of rank R are not closed (de Silva and Lim, SIAM J. Matrix Anal. 30, 2008).
bool diverges(const std::vector<double>& history, const std::vector<double>& cancellations) {
  if (history.size() <= 2 * kGrowth) return false;
  const auto back = [](const std::vector<double>& of, size_t steps) { return of[of.size() - 1 - steps]; };
  const auto growth = [&](size_t steps) {
    return back(cancellations, steps) / back(cancellations, steps + kGrowth);
  };
  const auto fall = [&](size_t steps) { return back(history, steps + kGrowth) / back(history, steps); };
  return cancellations.back() > kCancelling && growth(0) > kGrowing && growth(kGrowth) > kGrowing &&
         fall(0) < fall(kGrowth);
}

/// The gradient over what a term of the largest size would make of the whole tensor.
double relative_gradient(const Point& point, double squared_norm) {
  const double size = point.terms.left.square().sum(1).amax().item<double>();
  const double scale = std::sqrt(squared_norm) * size;
  return scale > 0 ? std::sqrt(dot(point.gradient, point.gradient)) / scale : 0.0;
}

}  // namespace

CpFit fit_cp(const BilinearLayer& layer, double squared_norm, const CpTerms& start, int64_t max_iterations,
             double tolerance) {
  auto point = evaluate(layer, squared_norm, balance(start));
  CpFit fit{
      point.terms, {point.squared_error}, relative_gradient(point, squared_norm), CpStatus::kUnfinished};
  std::vector<double> cancellations = {point.cancellation};
  const double rounding = 1e-14 * squared_norm;
  const double curvature = point.terms.left.square().sum(1).amax().item<double>();
  double damping = 1e-2 * curvature * curvature, growth = 2;
  for (int64_t step = 0; step < max_iterations; ++step) {
    if (stop_requested()) throw Stopped{};
    if (fit.gradient <= tolerance) {
      fit.status = CpStatus::kConverged;
    } else if (diverges(fit.history, cancellations)) {
      fit.status = CpStatus::kDiverging;
    }
    if (fit.status != CpStatus::kUnfinished) break;
    if (!(damping < 1e12 * curvature * curvature) || stagnates(fit.history)) break;
    const auto change = solve_step(point, damping, std::min(0.1, std::sqrt(fit.gradient)));
    const double predicted =
        -2 * dot(point.gradient, change) - dot(change, gauss_newton_product(point.terms, change));
    const auto next = evaluate(layer, squared_norm, balance(point.terms + change));
    const double gained = point.squared_error - next.squared_error;
    // Within rounding of the error only the gradient can tell.
    const double next_gradient = relative_gradient(next, squared_norm);
    const bool accepted = gained > 0 || (gained > -rounding && next_gradient < fit.gradient);
    if (!accepted) {
      damping *= growth;
      growth *= 2;
      continue;
    }
    // Nielsen's update: less damping the better the quadratic model was.
    const double trust = gained > rounding ? std::clamp(gained / predicted, 0.0, 1.0) : 1.0;
    damping *= std::max(1.0 / 3, 1 - std::pow(2 * trust - 1, 3));
    growth = 2;
    point = next;
    fit.gradient = next_gradient;
    fit.history.push_back(point.squared_error);
    cancellations.push_back(point.cancellation);
  }
  fit.terms = point.terms;
  return fit;
}

CpStatus status_of(CpStatus fit, std::optional<double> refit_residual) {
  return refit_residual.value_or(0) <= kRefitted ? fit : CpStatus::kUnfinished;
}

at::Tensor best_outputs(const BilinearLayer& layer, const CpTerms& terms) {
  return at::linalg_pinv(cp_gram(terms), 1e-13, /*hermitian=*/true).mm(contract_inputs(layer, terms));
}

}  // namespace bilens
