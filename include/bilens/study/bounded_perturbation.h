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

/// Bounds the length of the smallest change of each input that alters its class and keeps its pixels within
/// their range, from both sides. The problem is NP-hard in general, so that both bounds need not meet.
/// For a class j and a multiplier ν < −1/λ_min the function ‖δ‖² + ν(g + 2b·δ + δᵀAδ) is convex, and its
/// least value over the box bounds ‖δ‖² from below. That value is bounded in turn by the function's strong
/// convexity at the point where the accelerated gradient method (Nesterov 2004, 2.2.11) ended. The best ν is
/// the one at whose point the form is 0. Where there is such a ν, its point is a change of the class, and
/// both bounds meet. Else larger ν give a change; their local minima bound nothing. Classes whose free bound
/// is above what was found need no search.
/// @param inputs float64 [N, d_input] within the range
/// @param free the bounds without a range of these inputs, and perhaps of more behind them
/// @throws Stopped
BoundedPerturbations bounded_perturbations(const ImageClassifier& model, const ClassForms& forms,
                                           const at::Tensor& inputs, const PixelRange& range,
                                           const SmallestPerturbations& free);

}  // namespace bilens
