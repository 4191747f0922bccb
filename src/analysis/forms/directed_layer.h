#pragma once

#include "bilens/analysis/eigen/eigen.h"

namespace bilens {

/// A problem as a layer over the input with one output a direction, P standing for UP: float64, without
/// biases and residual, each of W, V, P scaled to largest entry 1, so that 1e±30 neither overflows nor
/// vanishes.
struct DirectedLayer {
  BilinearLayer layer;  // `down` defined
  double unit;          // the problem's forms are this multiple of the layer's
};

/// @throws Error(kBadInput) for tensors that do not fit together, are not finite, or have a `unit` that
/// float64 does not hold
DirectedLayer direct_layer(const EigenProblem& problem, at::Device device);

/// Σ_i ‖B_i‖²_F over all outputs of a layer with a `down`.
double squared_tensor_norm(const BilinearLayer& layer);

/// A problem for a method that looks at all directions at once: as a layer with ‖B‖², in the layer's own
/// unit. A difference that rounding alone could leave (gram_floor) has not changed: it becomes zero.
struct WholeTensor : DirectedLayer {
  double squared_norm;
  double floor;  // of ‖B‖; 0 where the layer is no difference
  bool unchanged;
};

/// @throws as direct_layer, also where float64 does not hold ‖B‖²
WholeTensor whole_tensor(const EigenProblem& problem, at::Device device);

}  // namespace bilens
