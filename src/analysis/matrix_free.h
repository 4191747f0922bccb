#pragma once

#include "bilens/analysis/interaction.h"
#include "bilens/analysis/lanczos.h"

namespace bilens {

/// Interaction matrices as operators for Lanczos, never formed.
inline SymmetricOperators matrix_free(const InteractionOperator& q) {
  return [q, part = q, last = at::Tensor()](const at::Tensor& x, const at::Tensor& which) mutable {
    if (!which.is_same(last)) {
      part = q.select(which);
      last = which;
    }
    return part.apply(x.unsqueeze(1)).squeeze(1);
  };
}

}  // namespace bilens
