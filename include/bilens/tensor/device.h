#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "bilens/core/fields.h"

namespace bilens {

/// Where somebody asks to compute.
struct DeviceChoice {
  enum class Kind {
    kAuto,  // the first GPU, else the CPU
    kCpu,
    kCuda
  };

  Kind kind = Kind::kAuto;
  std::optional<int64_t> index;  // of a GPU; nothing: the first

  /// As it is asked for: "auto", "cpu", "cuda" or "cuda:N".
  std::string name() const;
};

/// @throws Error(kUsage) for another name
DeviceChoice parse_device(const std::string& name);

/// Schema, reader and writer of the config key "device".
Json device_schema();
DeviceChoice read_device(const Json& name, const std::string& where, std::vector<Problem>& problems);
Json write_device(const DeviceChoice& choice);

/// @throws Error(kUsage) for a GPU that is not there or was not compiled in.
at::Device choose_device(const DeviceChoice& choice);

constexpr int64_t kMostThreads = 4096;

/// 0 keeps the default. At most kMostThreads.
void set_threads(int64_t count);

/// Lowers the default to the processor quota, rounded up: the libraries look at the affinity mask alone. Not
/// where OMP_NUM_THREADS or MKL_NUM_THREADS says how many. For the start of a program that owns its process.
void limit_default_threads();

/// "cpu, 2 threads" or "cuda:0, NVIDIA ...".
std::string describe_device(at::Device device);

/// "float32", "bfloat16", "int64", ...
std::string dtype_name(at::ScalarType dtype);

/// Relative rounding error of one operation: 2^-24 for float32 is eps/2; this is eps.
double machine_epsilon(at::ScalarType dtype);

}  // namespace bilens
