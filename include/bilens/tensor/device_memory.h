#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace bilens {

/// What this process's tensors hold of a GPU's memory, in bytes. The driver's own, about half a gigabyte a
/// process, is not in it.
struct DeviceMemory {
  int64_t now = 0;
  int64_t peak = 0;
};
DeviceMemory device_memory(at::Device gpu);

/// Bytes that can be taken for a computation: of a GPU's memory, or of main memory for one on the CPU.
int64_t free_memory(at::Device device);

}  // namespace bilens
