#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "pickle.h"

namespace bilens {

/// A tensor as torch.save describes it: a window on a storage, which is an entry of the archive.
struct TorchTensor {
  std::string storage;  // its key: the entry is data/KEY
  size_t storage_bytes = 0;
  at::ScalarType dtype = at::ScalarType::Undefined;
  std::vector<int64_t> shape, strides;  // in elements
  size_t begin = 0, end = 0;            // the bytes of the storage it spans
  std::string unreadable;  // PyTorch's name of what it is, where that is no dense tensor of a known dtype
};

/// Whether the value is a tensor, or what should be one but needs a global that is not known.
bool is_tensor(const PickleValue& value);

/// Reads what is said of a tensor. Of the kinds that are not read here (complex, quantized, sparse, ...) it
/// says only what they are, and their shape where that stands in a known place.
/// @param where names the tensor in messages
/// @throws Error(kBadInput): arguments that are not a tensor's, sizes that overflow or reach beyond the
/// storage. Source: torch/_utils.py (_rebuild_tensor_v2, _rebuild_tensor_v3, _rebuild_parameter),
/// torch/_tensor.py (_rebuild_from_type_v2)
TorchTensor read_torch_tensor(const PickleValue& value, const std::string& where);

}  // namespace bilens
