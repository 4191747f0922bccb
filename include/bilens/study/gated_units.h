#pragma once

#include <vector>

#include "bilens/study/text_windows.h"
#include "bilens/train/unit_fit.h"

namespace bilens {

/// The bilinear units nearest to those of a gated model on text, for each layer, on the model's own inputs.
/// Tokens count alike. Memory beside the model: some 200 bytes × 256 × intermediate_size.
/// @return by layer
/// @throws std::invalid_argument for a bilinear model; Error(kBadInput) for activations that are not finite;
/// Stopped
std::vector<UnitFit> fit_gated_units(Decoder& model, const TextWindows& text);

/// R² = 1 − Σ‖y − ŷ‖²/Σ‖y − ȳ‖² of a layer's MLP output y with others in the place of its units: the bilinear
/// ones, and (az + b)y. NaN where y is constant.
struct OutputR2 {
  double units = 0.0, lines = 0.0;
};

/// Measures each layer by itself; all other layers stay the model's own.
/// @param fits of each layer @throws Stopped
std::vector<OutputR2> measure_gated_units(Decoder& model, const TextWindows& text,
                                          const std::vector<UnitFit>& fits);

}  // namespace bilens
