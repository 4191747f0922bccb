#pragma once

#include "bilens/records/factors.h"

namespace bilens {

Sparsity measure_sparsity(const at::Tensor& vectors);

}  // namespace bilens
