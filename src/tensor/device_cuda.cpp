// Part of libbilens_cuda.so.
#include "device_cuda.h"

#include <c10/cuda/CUDAException.h>
#include <cuda_runtime_api.h>

namespace bilens {

namespace {

std::string name_of(int index) {
  cudaDeviceProp properties;
  C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, index));
  return properties.name;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const DeviceCuda bilens_device_cuda = {&name_of};

}  // namespace bilens
