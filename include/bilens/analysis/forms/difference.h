#pragma once

#include "bilens/analysis/forms/bilinear_layer.h"

namespace bilens {

/// y_a − y_b as one layer, biases likewise; two residuals cancel. In general
///   [W_a; W_b], [V_a; V_b], [P_a, −P_b].
/// Where hidden units correspond by number and changed little, as in checkpoints of one run, what changed
/// stands in the weights themselves, telescoped and in float64,
///   [ΔW; W_a; W_a], [V_b; ΔV; V_a], [P_b, P_b, ΔP],
/// so that each term, and what is lost to rounding in it, is of the size of the change. Units that the longer
/// layer has beyond the other's follow; units that put out zero are left out. The layer keeps a and b as its
/// `parts`: what rounding_floor.h says of it is stated against them.
/// @throws Error(kBadInput) when the layers do not share input and output spaces, or only one has a residual
BilinearLayer subtract(const BilinearLayer& a, const BilinearLayer& b);

}  // namespace bilens
