#pragma once

#include "bilens/study/smallest_perturbation.h"

namespace bilens {

/// Each pixel of an input stays within [least, most].
struct PixelRange {
  double least = 0, most = 1;
};

/// As SmallestPerturbations, for changes that keep all pixels within their range.
struct BoundedPerturbations {
  at::Tensor lower;  // float64 [N], no shorter change alters the class
  at::Tensor upper;  // float64 [N], ‖δ‖ of a change that does; ∞ where none was found
};

/// The problem is NP-hard in general, so that both bounds need not meet. For a class j and a multiplier ν <
/// −1/λ_min the function ‖δ‖² + ν(g + 2b·δ + δᵀAδ) is convex, and its least value over the box bounds ‖δ‖²
/// from below. That value is bounded in turn by the function's strong convexity at the point where the
/// accelerated gradient method (Nesterov 2004, 2.2.11) ended. The best ν is a root of the form's value there;
/// where there is one, its point is a change of the class, and both bounds meet. Else larger ν, whose local
/// minima bound nothing, give a change. Classes whose free bound is above what was found need no search.
/// @param inputs float64 [N, d_input] within the range @param free of these inputs and, behind them, perhaps
/// more
/// @throws Stopped
BoundedPerturbations bounded_perturbations(const ImageClassifier& model, const ClassForms& forms,
                                           const at::Tensor& inputs, const PixelRange& range,
                                           const SmallestPerturbations& free);

}  // namespace bilens
