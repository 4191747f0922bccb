#pragma once

#include <vector>

#include "bilens/study/text_windows.h"
#include "bilens/train/unit_fit.h"

namespace bilens {

/// The line a z + b nearest to a gated model's activation f(z) on text, for each hidden unit of each layer,
/// on the model's own inputs: P((a(Wx) + b) ⊙ Vx) then is the bilinear layer that stands for P(f(Wx) ⊙ Vx).
/// Tokens count alike; an error counts by the other factor squared (UnitSums).
/// Memory beside the model: some 100 bytes × 256 × intermediate_size.
/// @return by layer @throws std::invalid_argument for a bilinear model; Stopped
std::vector<UnitFit> fit_activation_lines(Decoder& model, const TextWindows& text);

}  // namespace bilens
