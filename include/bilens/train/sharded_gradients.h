#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

#include "bilens/io/safetensors.h"

namespace bilens {

/// Into how many parts a batch of `rows` is cut so that each CPU thread computes one by itself, forward and
/// backward: products of a small model are too small to be shared. 1 on a GPU, for one thread, and where the
/// gradients of all parts would take more than 512 MB.
int64_t count_shards(const NamedTensors& parameters, int64_t rows);
/// The same of gradients of that many bytes.
int64_t count_shards(at::Device device, int64_t bytes, int64_t rows);

/// Adds the gradients of Σ loss(begin, end), over `shards` parts of [0, rows), to the parameters'. Parts are
/// computed at the same time and added in their order: the same result each time.
/// @param loss of rows [begin, end), a scalar; called on several threads
/// @return the sum, detached
at::Tensor add_gradients(const NamedTensors& parameters, int64_t rows, int64_t shards,
                         const std::function<at::Tensor(int64_t begin, int64_t end)>& loss);

}  // namespace bilens
