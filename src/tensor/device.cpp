#include "bilens/tensor/device.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "bilens/core/error.h"
#include "bilens/core/version.h"
#include "bilens/tensor/cuda_library.h"
#include "device_cuda.h"

namespace bilens {

at::Device choose_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  const std::string missing = build_info().cuda ? load_cuda() : "a bilens that was built without CUDA";
  const bool available = missing.empty();
  // Off by default, but containers switch TF32 on by an environment variable: products are what their dtype
  // says.
  if (available) at::globalContext().setAllowTF32CuBLAS(false);
  if (name == "auto") return available ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  int64_t index = 0;
  const bool numbered = name.rfind("cuda:", 0) == 0 && name.size() > 5 && name.size() < 9 &&
                        name.find_first_not_of("0123456789", 5) == std::string::npos;
  if (name != "cuda" && !numbered) {
    throw Error(ExitCode::kUsage, {"--device", "auto, cpu, cuda or cuda:N", "\"" + name + "\"", ""});
  }
  if (numbered) index = std::stoll(name.substr(5));
  if (!available) {
    throw Error(ExitCode::kUsage,
                {"--device " + name, "an NVIDIA GPU", missing,
                 build_info().cuda ? "Use --device cpu, or check the driver with nvidia-smi."
                                   : "Use --device cpu, or build with BILENS_CUDA=ON."});
  }
  const auto count = static_cast<int64_t>(at::detail::getCUDAHooks().deviceCount());
  if (index >= count) {
    throw Error(ExitCode::kUsage,
                {"--device " + name, "a GPU below " + std::to_string(count), std::to_string(index), ""});
  }
  return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
}

void set_threads(int64_t count) {
  if (count > 0) at::set_num_threads(static_cast<int>(count));
}

std::string describe_device(at::Device device) {
  const int threads = at::get_num_threads();
  if (device.is_cpu()) return "cpu, " + std::to_string(threads) + (threads == 1 ? " thread" : " threads");
  const auto& there = *static_cast<const DeviceCuda*>(cuda_symbol("bilens_device_cuda"));
  return device.str() + ", " + there.name(device.index());
}

std::string dtype_name(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat: return "float32";
    case at::kDouble: return "float64";
    case at::kHalf: return "float16";
    case at::kBFloat16: return "bfloat16";
    case at::kLong: return "int64";
    case at::kInt: return "int32";
    case at::kShort: return "int16";
    case at::kChar: return "int8";
    case at::kByte: return "uint8";
    case at::kBool: return "bool";
    default: return c10::toString(dtype);
  }
}

double machine_epsilon(at::ScalarType dtype) {
  return dtype == at::kDouble ? std::numeric_limits<double>::epsilon()
                              : std::numeric_limits<float>::epsilon();
}

}  // namespace bilens
