#pragma once

#include "bilens/analysis/eigen/lanczos.h"
#include "bilens/analysis/forms/interaction.h"

namespace bilens {

/// The operators of directions with S [n, h] for Lanczos, without forming them. The stack [W; V] is shared.
inline SymmetricOperators matrix_free(const PackedMatrix& stack, const at::Tensor& scales) {
  return [stack, scales, part = at::Tensor(), last = at::Tensor()](const at::Tensor& x,
                                                                   const at::Tensor& which) mutable {
    if (!which.is_same(last)) {
      part = scales.index_select(0, which);
      last = which;
    }
    return apply_interaction(stack, part, x.unsqueeze(1)).squeeze(1);
  };
}

}  // namespace bilens
