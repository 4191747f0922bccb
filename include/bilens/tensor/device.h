#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace bilens {

/// "auto" (the first GPU, else the CPU), "cpu", "cuda" or "cuda:N".
/// @throws Error(kUsage) for another name, and for a GPU that is not there or was not compiled in.
at::Device choose_device(const std::string& name);

constexpr int64_t kMostThreads = 4096;

/// 0 keeps the default, one thread a core. At most kMostThreads.
void set_threads(int64_t count);

/// "cpu, 2 threads" or "cuda:0, NVIDIA ...".
std::string describe_device(at::Device device);

/// "float32", "bfloat16", "int64", ...
std::string dtype_name(at::ScalarType dtype);

/// Relative rounding error of one operation: 2^-24 for float32 is eps/2; this is eps.
double machine_epsilon(at::ScalarType dtype);

}  // namespace bilens
