#pragma once

#include "bilens/study/class_forms.h"

namespace bilens {

/// For each of N inputs the smallest change that makes another class the likelier one, ‖δ‖ in the inputs'
/// units.
struct SmallestPerturbations {
  at::Tensor prediction;   // int64 [N], of the model in float64
  at::Tensor other;        // int64 [N], the class that is reached first; −1 where none was reached
  at::Tensor lower;        // float64 [N], no shorter change alters the class, rounding taken off
  at::Tensor class_lower;  // float64 [N, classes], the same to each class; ∞ to the prediction
  at::Tensor upper;  // float64 [N], ‖δ‖ of a change that does, as the model itself computes; ∞ without one
  at::Tensor steps;  // δ float64 [N, d_input]; 0 where there is none
};

/// Solves for each other class the quadratically constrained problem min ‖δ‖ with logit_y(x + δ) ≤ logit_j(x
/// + δ) exactly (smallest_step.h), after an eigendecomposition for each pair of classes. The smallest of the
/// classes' bounds is the bound. The step found is lengthened, by as little as it takes, until the model in
/// float64 gives another class.
/// @param inputs float64 [N, d_input], on the CPU
/// @throws Stopped
SmallestPerturbations smallest_perturbations(const ImageClassifier& model, const ClassForms& forms,
                                             const at::Tensor& inputs);

/// Whether a class other than `prediction` has the largest logit by more than rounding, as the model computes
/// in float64: bool [n]. @param exact the model in float64 (float64_copy()) @param inputs [n, d_input]
at::Tensor class_changed(ImageClassifier& exact, const at::Tensor& inputs, const at::Tensor& prediction);

}  // namespace bilens
