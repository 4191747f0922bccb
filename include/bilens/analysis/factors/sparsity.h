#pragma once

#include "bilens/records/sparsity_record.h"

namespace bilens {

Sparsity measure_sparsity(const at::Tensor& vectors);

}  // namespace bilens
