#pragma once

#include <cstdint>

namespace bilens {

/// The t with P(|T| ≤ t) = coverage, T Student's with `freedom` degrees of freedom: 12.706 for .95 and 1.
/// @param coverage 0 to below 1 @param freedom 1 or more; the time grows with it
double student_t_bound(double coverage, int64_t freedom);

}  // namespace bilens
