#pragma once

#include <c10/core/Device.h>

#include <algorithm>
#include <cstdint>

namespace bilens {

/// Rows whose logits are computed at once, so that those of a whole batch never stand in memory: 4 MB of
/// float32 in a CPU's cache, 128 MB on a GPU, where a part has to keep it busy.
inline int64_t rows_of_part(int64_t vocabulary, at::Device device) {
  return std::max<int64_t>(32, (int64_t{1} << (device.is_cpu() ? 20 : 25)) / vocabulary);
}

}  // namespace bilens
