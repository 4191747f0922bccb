#include "bilens/study/smallest_perturbation.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "bilens/analysis/forms/smallest_step.h"
#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/study/layer_on_images.h"

namespace bilens {

namespace {

constexpr double kRounding =
    1e-13;  // of the largest logit: so much they may differ by the order of their sums

/// One pair of classes in the eigenbasis of its form: A = UΛUᵀ.
struct EigenForm {
  QuadraticForm form;
  at::Tensor values;   // λ [r], ascending
  at::Tensor vectors;  // U [r, r]
};

EigenForm eigen_form(QuadraticForm form) {
  const auto [values, vectors] = at::linalg_eigh(form.matrix);
  return {std::move(form), values.contiguous(), vectors};
}

/// The pair the other way round.
EigenForm reversed(const EigenForm& pair) {
  return {{-pair.form.matrix, -pair.form.linear, -pair.form.constant, pair.form.size},
          pair.values.neg().flip(0),
          pair.vectors.flip(1)};
}

/// Smallest steps of some inputs to one class.
struct Candidates {
  at::Tensor lower, upper;  // [n]
  at::Tensor steps;         // [n, r], in the eigenbasis of the pair
};

/// @param z [n, r] @param norms of the pixels, [n]
Candidates steps_to_class(const EigenForm& pair, const at::Tensor& z, const at::Tensor& norms,
                          double rounding) {
  const auto& form = pair.form;
  const int64_t width = z.size(1);
  const auto errors = form.error(norms, rounding).contiguous();
  // Equal logits differ by their rounding, so that a step leaves them.
  const auto gaps = at::maximum(form.values(z), errors).contiguous();
  const auto slopes = z.mm(form.matrix).add_(0.5 * form.linear).mm(pair.vectors).contiguous();
  const auto slope_errors = (rounding * (form.size * norms + form.linear.norm())).contiguous();
  Candidates found{at::empty_like(gaps), at::full_like(gaps, INFINITY), at::zeros_like(slopes)};
  const auto *gap = gaps.const_data_ptr<double>(), *slope = slopes.const_data_ptr<double>(),
             *gap_error = errors.const_data_ptr<double>(),
             *slope_error = slope_errors.const_data_ptr<double>(),
             *curvature = pair.values.const_data_ptr<double>();
  auto *lower = found.lower.mutable_data_ptr<double>(), *upper = found.upper.mutable_data_ptr<double>(),
       *steps = found.steps.mutable_data_ptr<double>();
  at::parallel_for(0, z.size(0), 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto step = smallest_step(
          {gap[i], slope + i * width, curvature, width, gap_error[i], slope_error[i], rounding * form.size});
      lower[i] = step.lower;
      if (step.step.empty()) continue;
      upper[i] = std::sqrt(std::inner_product(step.step.begin(), step.step.end(), step.step.begin(), 0.0));
      std::copy(step.step.begin(), step.step.end(), steps + i * width);
    }
  });
  return found;
}

/// Takes in what is smaller than what the classes before gave. @param steps [N, r], over z
void take_smaller(const Candidates& candidates, const EigenForm& pair, int64_t to, const at::Tensor& rows,
                  at::Tensor& steps, SmallestPerturbations& found) {
  found.class_lower.select(1, to).index_copy_(0, rows, candidates.lower);
  const auto smaller = candidates.upper.lt(found.upper.index_select(0, rows)).nonzero().squeeze(1);
  const auto taken = rows.index_select(0, smaller);
  found.upper.index_copy_(0, taken, candidates.upper.index_select(0, smaller));
  found.other.index_fill_(0, taken, to);
  steps.index_copy_(0, taken, candidates.steps.index_select(0, smaller).mm(pair.vectors.t()));
}

/// Lengthens the steps until the model gives another class. Their first factor is 1, the next ones 1 + eps ·
/// 4^k.
void reach_other_class(ImageClassifier& exact, const at::Tensor& inputs, SmallestPerturbations& found) {
  auto open = found.upper.isfinite().nonzero().squeeze(1);
  for (double more = 0; open.numel() > 0 && more < 1;
       more = more == 0 ? std::numeric_limits<double>::epsilon() : 4 * more) {
    const auto steps = found.steps.index_select(0, open).mul_(1 + more);
    const auto changed =
        class_changed(exact, inputs.index_select(0, open) + steps, found.prediction.index_select(0, open));
    const auto there = changed.nonzero().squeeze(1), rows = open.index_select(0, there);
    found.steps.index_copy_(0, rows, steps.index_select(0, there));
    open = open.index_select(0, changed.logical_not().nonzero().squeeze(1));
  }
  found.upper.copy_(found.steps.norm(2, 1).masked_fill_(found.other.eq(-1), INFINITY));
  found.upper.index_fill_(0, open, INFINITY);
  found.other.index_fill_(0, open, -1);
  found.steps.index_fill_(0, open, 0);
}

}  // namespace

at::Tensor class_changed(ImageClassifier& exact, const at::Tensor& inputs, const at::Tensor& prediction) {
  const at::NoGradGuard no_grad;
  const auto logits = exact->forward(inputs);
  const auto index = prediction.unsqueeze(1);
  const auto margin = kRounding * logits.abs().amax(1, true);
  const auto own = logits.gather(1, index) + margin;
  return logits.scatter(1, index, -INFINITY).amax(1, true).gt(own).squeeze(1);
}

SmallestPerturbations smallest_perturbations(const ImageClassifier& model, const ClassForms& forms,
                                             const at::Tensor& inputs) {
  const at::NoGradGuard no_grad;
  auto exact = float64_copy(model);
  const int64_t count = inputs.size(0), classes = forms.classes(), width = forms.dimension();
  SmallestPerturbations found;
  found.prediction = exact->forward(inputs).argmax(1);
  found.other = at::full({count}, -1, at::kLong);
  found.class_lower = at::full({count, classes}, INFINITY, at::kDouble);
  found.upper = at::full({count}, INFINITY, at::kDouble);
  const auto z = inputs.mm(forms.basis), norms = inputs.norm(2, 1);
  auto steps = at::zeros({count, width}, at::kDouble);
  const auto towards = [&](const EigenForm& pair, int64_t to, const at::Tensor& rows) {
    if (rows.numel() == 0 || pair.form.is_zero()) return;
    const auto candidates =
        steps_to_class(pair, z.index_select(0, rows), norms.index_select(0, rows), forms.rounding());
    take_smaller(candidates, pair, to, rows, steps, found);
  };
  Progress progress("smallest changes", classes * (classes - 1) / 2, "pairs of classes");
  std::vector<at::Tensor> of_class;
  for (int64_t c = 0; c < classes; ++c) of_class.push_back(found.prediction.eq(c).nonzero().squeeze(1));
  for (int64_t a = 0; a < classes; ++a) {
    for (int64_t b = a + 1; b < classes; ++b) {
      if (stop_requested()) throw Stopped{};
      const auto pair = eigen_form(forms.difference(a, b));
      towards(pair, b, of_class[a]);
      towards(reversed(pair), a, of_class[b]);
      progress.advance(1);
    }
  }
  found.lower = found.class_lower.amin(1);
  found.steps = steps.mm(forms.basis.t());
  reach_other_class(exact, inputs, found);
  return found;
}

}  // namespace bilens
