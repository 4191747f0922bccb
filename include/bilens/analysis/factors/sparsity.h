#pragma once

#include "bilens/records/sparsity_record.h"

namespace bilens {

/// Measures on how few of its entries each vector lives. @param vectors [..., d] @return float64 [...]
Sparsity measure_sparsity(const at::Tensor& vectors);

}  // namespace bilens
