#include "bilens/study/bounded_perturbation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/study/layer_on_images.h"

namespace bilens {

namespace {

constexpr double kEnough = 1e-7;      // relative distance of both bounds at which a search ends
constexpr double kLast = 1 - 1e-4;    // of −1/λ_min: beyond it the functions are too flat to be minimized
constexpr int kMostMultipliers = 40;  // of one class
constexpr int kMostSteps = 2000;      // of one multiplier
constexpr int kStepsBetween = 20;     // looks at the bound

at::Tensor clamped(const at::Tensor& values, const at::Tensor& low, const at::Tensor& high) {
  return at::min(at::max(values, low), high);
}

at::Tensor row_sums(const at::Tensor& values) { return values.sum(1, true); }

/// The problem of some inputs and one other class, over the pixels. Tensors [n, ...] have a row an input.
struct BoxProblem {
  at::Tensor vectors, values;              // A = Σ λ v vᵀ: v in columns [d, r], λ [r]
  double least_curvature, most_curvature;  // λ_min ≤ 0 and λ_max ≥ 0, since λ = 0 off the vectors
  at::Tensor value, slope;                 // g [n, 1], b [n, d]
  at::Tensor low, high;                    // [n, d], of δ
  at::Tensor norm;                         // ‖x‖ [n, 1]
  const QuadraticForm& form;
  double rounding;

  at::Tensor curved(const at::Tensor& step) const { return step.mm(vectors).mul_(values).mm(vectors.t()); }
  at::Tensor value_at(const at::Tensor& step) const {
    return value + row_sums(step * (2 * slope + curved(step)));
  }
  /// How far rounding may have moved the form's value at x + δ, for every δ up to a length: [n, 1].
  at::Tensor error(const at::Tensor& length) const { return 2 * form.error(norm + length, rounding); }
  /// Up to which ν the functions are convex, by how much is left of that; ∞ where all are.
  double last_multiplier() const {
    return least_curvature < 0 ? -kLast / least_curvature : std::numeric_limits<double>::infinity();
  }
  /// Half the least second derivative, where it is positive.
  at::Tensor convexity(const at::Tensor& nu) const { return (1 + nu * least_curvature).clamp_min(1 - kLast); }
};

/// A function ‖δ‖² + ν(g + 2b·δ + δᵀAδ) at a point.
struct AtPoint {
  at::Tensor value, bound;  // [n, 1], there, and of all points of the box
};

/// f(δ') ≥ f(δ) + Σ ∇_i d_i + μ d_i² for d = δ' − δ in the box, coordinate by coordinate.
AtPoint look(const BoxProblem& p, const at::Tensor& nu, const at::Tensor& step) {
  const auto curved = p.curved(step);
  const auto value = row_sums(step * (step + nu * (2 * p.slope + curved))) + nu * p.value;
  const auto half_gradient = step + nu * (p.slope + curved);
  const auto mu = p.convexity(nu);
  const auto move = clamped(-half_gradient / mu, p.low - step, p.high - step);
  return {value, value + row_sums(move * (2 * half_gradient + mu * move))};
}

/// Where the function is least in the box, or near; where it is not convex, a local minimum. @return its
/// point [n, d] and a bound of its least value
std::pair<at::Tensor, at::Tensor> minimize(const BoxProblem& p, const at::Tensor& nu, at::Tensor step) {
  const auto most = 1 + nu * std::max(p.most_curvature, -p.least_curvature);
  const auto root = (p.convexity(nu) / most).sqrt();
  const auto momentum = (1 - root) / (1 + root);
  auto ahead = step;
  for (int i = 1;; ++i) {
    const auto half_gradient = ahead + nu * (p.slope + p.curved(ahead));
    const auto next = clamped(ahead - half_gradient / most, p.low, p.high);
    ahead = next + momentum * (next - step);
    step = next;
    if (i % kStepsBetween != 0) continue;
    const auto at = look(p, nu, step);
    const bool near = (at.value - at.bound).le(0.1 * kEnough * at.value.abs()).all().item<bool>();
    if (near || i >= kMostSteps) return {step, at.bound};
  }
}

/// What is known of n inputs and one class. Tensors [n, 1] or [n, d].
struct Search {
  at::Tensor low, high;  // of ν: the form is positive at the point of the first, not of the second
  at::Tensor low_value, high_value;  // the form there; the second is NaN until one is known
  at::Tensor bound;                  // of ‖δ‖²
  at::Tensor found, best;            // ‖δ‖² of a change, ∞ without one, and δ
  at::Tensor step;                   // of the last multiplier
};

Search begin_search(const BoxProblem& p) {
  const auto zero = at::zeros_like(p.value), infinite = at::full_like(zero, INFINITY);
  const auto still = at::zeros_like(p.slope);
  return {zero, infinite, p.value, at::full_like(zero, NAN), zero, infinite, still, still};
}

void try_multiplier(const BoxProblem& p, const at::Tensor& nu, Search& s) {
  at::Tensor bound;
  std::tie(s.step, bound) = minimize(p, nu, s.step);
  const auto value = p.value_at(s.step), positive = value.gt(0);
  const auto squares = row_sums(s.step.square());
  const auto better = positive.logical_not().logical_and_(squares.lt(s.found));
  s.found = at::where(better, squares, s.found);
  s.best = at::where(better, s.step, s.best);
  const auto length = at::maximum(s.step.norm(2, 1, true), bound.clamp_min(0).sqrt());
  const auto proved = bound - nu * p.error(length);
  s.bound = at::where(nu.le(p.last_multiplier()).logical_and_(proved.gt(s.bound)), proved, s.bound);
  // Where one side stays, its value counts half (the Illinois rule), so that the other side moves too.
  s.low_value = at::where(positive, value, 0.5 * s.low_value);
  s.high_value = at::where(positive, 0.5 * s.high_value, value);
  s.low = at::where(positive, nu, s.low);
  s.high = at::where(positive, s.high, nu);
}

/// Between both, by the secant where both values are known. The last multiplier with a convex function is one
/// of those that are tried.
at::Tensor next_multiplier(const BoxProblem& p, const Search& s) {
  const auto secant = (s.low * s.high_value - s.high * s.low_value) / (s.high_value - s.low_value);
  const double last = p.last_multiplier();
  const auto further = at::where(s.low.lt(last), (2 * s.low).clamp_max(last), 1.5 * s.low);
  const auto halfway = at::where(s.high.isinf(), further, 0.5 * (s.low + s.high));
  return at::where(secant.gt(s.low).logical_and_(secant.lt(s.high)), secant, halfway);
}

/// Looks for the multiplier at whose point the form is 0, until both bounds of each input meet or ν is found.
/// Beyond the last multiplier with a convex function a point is found and no bound.
Search search_multipliers(const BoxProblem& p) {
  auto s = begin_search(p);
  auto nu = p.value / (2 * row_sums(p.slope.square()));  // the root without curvature or box
  nu = at::where(nu.isfinite(), nu, at::ones_like(nu)).clamp_max(0.5 * p.last_multiplier());
  for (int i = 0; i < kMostMultipliers; ++i) {
    if (stop_requested()) throw Stopped{};
    try_multiplier(p, nu, s);
    const auto apart = s.bound.lt((1 - kEnough) * s.found);  // as where nothing was found
    const auto wide = s.high.isinf().logical_or((s.high - s.low).gt(kEnough * s.high));
    if (!apart.logical_and(wide).any().item<bool>()) break;
    nu = next_multiplier(p, s);
  }
  return s;
}

/// What is to be searched, and what is known of it.
struct Task {
  const ClassForms& forms;
  const at::Tensor &inputs, &prediction;
  PixelRange range;
  at::Tensor class_lower;   // [N, classes]
  at::Tensor upper, steps;  // [N], [N, d]
};

/// @param form of the difference of both classes' logits, which has to outlive the problem
BoxProblem problem_of(const Task& task, const QuadraticForm& form, const at::Tensor& rows) {
  const auto [values, vectors] = at::linalg_eigh(form.matrix);
  const auto x = task.inputs.index_select(0, rows), z = x.mm(task.forms.basis);
  const auto norm = x.norm(2, 1, true);
  const double rounding = task.forms.rounding();
  return {task.forms.basis.mm(vectors),
          values,
          std::min(0.0, values.min().item<double>()),
          std::max(0.0, values.max().item<double>()),
          at::maximum(form.values(z).unsqueeze(1), form.error(norm, rounding)),
          z.mm(form.matrix).add_(0.5 * form.linear).mm(task.forms.basis.t()),
          task.range.least - x,
          task.range.most - x,
          norm,
          form,
          rounding};
}

void search_class(Task& task, int64_t of, int64_t to, const at::Tensor& rows) {
  const auto form = task.forms.difference(of, to);
  const auto s = search_multipliers(problem_of(task, form, rows));
  auto lower = task.class_lower.select(1, to);
  lower.index_copy_(0, rows, at::maximum(lower.index_select(0, rows), s.bound.squeeze(1).sqrt()));
  const auto found = s.found.squeeze(1).sqrt();
  const auto better = found.lt(task.upper.index_select(0, rows)).nonzero().squeeze(1);
  const auto taken = rows.index_select(0, better);
  task.upper.index_copy_(0, taken, found.index_select(0, better));
  task.steps.index_copy_(0, taken, s.best.index_select(0, better));
}

/// Lengthens steps within the box until the model gives another class; ∞ where none does.
void confirm(ImageClassifier& exact, Task& task) {
  auto open = task.upper.isfinite().nonzero().squeeze(1);
  const auto wide = task.steps;
  for (double more = 0; open.numel() > 0 && more < 1e-6; more = more == 0 ? 1e-15 : 4 * more) {
    const auto x = task.inputs.index_select(0, open);
    const auto moved =
        (x + (1 + more) * wide.index_select(0, open)).clamp_(task.range.least, task.range.most);
    const auto changed = class_changed(exact, moved, task.prediction.index_select(0, open));
    const auto there = changed.nonzero().squeeze(1);
    task.upper.index_copy_(0, open.index_select(0, there), (moved - x).index_select(0, there).norm(2, 1));
    open = open.index_select(0, changed.logical_not().nonzero().squeeze(1));
  }
  task.upper.index_fill_(0, open, INFINITY);
}

}  // namespace

BoundedPerturbations bounded_perturbations(const ImageClassifier& model, const ClassForms& forms,
                                           const at::Tensor& inputs, const PixelRange& range,
                                           const SmallestPerturbations& free) {
  const at::NoGradGuard no_grad;
  const int64_t count = inputs.size(0), classes = forms.classes();
  const auto prediction = free.prediction.narrow(0, 0, count);
  const auto free_lower = free.class_lower.narrow(0, 0, count);
  Task task{forms,
            inputs,
            prediction,
            range,
            free_lower.clone(),
            at::full({count}, INFINITY, at::kDouble),
            at::zeros_like(inputs)};
  const auto order = at::argsort(free_lower, 1, false);
  Progress progress("bounded changes", classes - 1, "rounds");
  // Each input's nearest class first, then the next: most need no further one.
  for (int64_t round = 0; round + 1 < classes; ++round) {
    const auto to = order.select(1, round);
    const auto wanted = free_lower.gather(1, to.unsqueeze(1)).squeeze(1).lt(task.upper);
    for (int64_t a = 0; a < classes; ++a) {
      for (int64_t b = 0; b < classes; ++b) {
        const auto rows = wanted.logical_and(prediction.eq(a)).logical_and_(to.eq(b)).nonzero().squeeze(1);
        if (rows.numel() > 0) search_class(task, a, b, rows);
      }
    }
    progress.advance(1);
  }
  auto exact = float64_copy(model);
  confirm(exact, task);
  return {task.class_lower.amin(1), task.upper};
}

}  // namespace bilens
