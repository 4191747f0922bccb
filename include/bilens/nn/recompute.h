#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace bilens {

/// function(inputs), of which only the inputs are kept for the gradients; what lies between is computed again
/// when they are needed (arXiv 1604.06174).
/// @param function pure: every tensor that is to get a gradient is among `inputs`
at::Tensor recompute(const std::function<at::Tensor(const std::vector<at::Tensor>&)>& function,
                     const std::vector<at::Tensor>& inputs);

}  // namespace bilens
