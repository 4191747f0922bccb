#pragma once

#include "bilens/analysis/tokens/token_basis.h"
#include "bilens/records/token_record.h"

namespace bilens {

/// The tokens nearest to some vectors, on both sides.
/// @param projections R_t·v, float64 [c, V], of vectors of unit length
/// @param norms       ‖R_t‖ [V]
/// @param count       m, clipped to V
NearestTokens nearest_tokens(const at::Tensor& projections, const at::Tensor& norms, int64_t count);

/// What the nearest tokens' cosines are worth: the j-th largest cosine of each random direction, each column
/// sorted, float64 [2·directions, m]. Both sides of a direction count: −v is as likely as v.
/// @param directions unit rows, float64 [c, d]
at::Tensor null_cosines(const TokenBasis& basis, const at::Tensor& directions, int64_t count);

/// For the j-th nearest token, the share of `null`'s j-th cosines that are smaller than its own in absolute
/// value: [..., 2, m] float64. 1: no random direction came as near.
at::Tensor null_quantiles(const NearestTokens& nearest, const at::Tensor& null);

}  // namespace bilens
