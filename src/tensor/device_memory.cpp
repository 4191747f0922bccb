#include "bilens/tensor/device_memory.h"

#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>

#include "bilens/core/memory.h"

namespace bilens {

namespace {

c10::DeviceAllocator& allocator_of(at::Device gpu) {
  at::globalContext().lazyInitDevice(gpu.type());
  return *c10::getDeviceAllocator(gpu.type());
}

// Where each statistic has its sum over small and large blocks.
constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);

}  // namespace

DeviceMemory device_memory(at::Device gpu) {
  const auto held = allocator_of(gpu).getDeviceStats(gpu.index()).allocated_bytes[kAll];
  return {held.current, held.peak};
}

int64_t free_memory(at::Device device) {
  if (device.is_cpu()) return available_memory();
  auto& allocator = allocator_of(device);
  const auto stats = allocator.getDeviceStats(device.index());
  // What the allocator keeps for later is taken for the driver, and free for us.
  const int64_t kept = stats.reserved_bytes[kAll].current - stats.allocated_bytes[kAll].current;
  return static_cast<int64_t>(allocator.getMemoryInfo(device.index()).first) + kept;
}

}  // namespace bilens
