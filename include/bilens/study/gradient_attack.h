#pragma once

#include "bilens/model/image_classifier.h"

namespace bilens {

/// What an attack by gradients finds, which proves nothing: ‖δ‖ float64 [N] of a change of each input that
/// makes the model in float64 give another class; ∞ where it found none. In each step the runner-up's logit
/// minus the prediction's is taken as linear, and δ goes to the nearest point of where it would be 0
/// (DeepFool, arXiv 1511.04599, from the input each time, so that it also comes nearer again). The segment
/// that leads to each δ is then searched for the place where the class changes, and the shortest one counts.
/// @param inputs float64 [N, d_input], on the CPU @param prediction int64 [N]
at::Tensor gradient_attack(const ImageClassifier& model, const at::Tensor& inputs,
                           const at::Tensor& prediction, int64_t steps);

}  // namespace bilens
