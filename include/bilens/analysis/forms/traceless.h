#pragma once

#include "bilens/analysis/forms/bilinear_layer.h"

namespace bilens {

/// The layer whose interaction matrices are Q_u − (tr Q_u/d) I, in float64. The trace is linear in u, so what
/// is taken off is a bilinear layer too, x ↦ (tr Q_u/d)‖x‖², of d hidden units; its output is a constant
/// where x has a fixed length: behind a norm.
BilinearLayer without_trace(const BilinearLayer& layer);

/// The layer whose interaction matrices are Q_u − a_u I, in float64, with a of each output axis and linear in
/// u. @param shifts a [m] float64
BilinearLayer without_length(const BilinearLayer& layer, const at::Tensor& shifts);

/// tr Q_u / d of each direction u: [n] float64. @param directions U [n, m]; undefined: the output axes
at::Tensor mean_eigenvalues(const BilinearLayer& layer, const at::Tensor& directions);

}  // namespace bilens
