#pragma once

#include <algorithm>
#include <cstdint>

namespace bilens {

/// Rows whose logits are computed at once, so that those of a whole batch never stand in memory: 4 MB of
/// float32.
inline int64_t rows_of_part(int64_t vocabulary) {
  return std::max<int64_t>(32, (int64_t{1} << 20) / vocabulary);
}

}  // namespace bilens
