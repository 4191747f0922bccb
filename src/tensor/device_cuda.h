#pragma once

#include <string>

namespace bilens {

/// What libbilens_cuda.so exports as bilens_device_cuda.
struct DeviceCuda {
  std::string (*name)(int index);
};

}  // namespace bilens
