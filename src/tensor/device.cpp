#include "bilens/tensor/device.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <cstdlib>

#include "bilens/core/error.h"
#include "bilens/core/processor_quota.h"
#include "bilens/core/version.h"
#include "bilens/tensor/cuda_library.h"
#include "device_cuda.h"

namespace bilens {

namespace {

/// Nothing for another name.
std::optional<DeviceChoice> device_named(const std::string& name) {
  using Kind = DeviceChoice::Kind;
  if (name == "auto") return DeviceChoice{Kind::kAuto, {}};
  if (name == "cpu") return DeviceChoice{Kind::kCpu, {}};
  if (name == "cuda") return DeviceChoice{Kind::kCuda, {}};
  const bool numbered = name.rfind("cuda:", 0) == 0 && name.size() > 5 && name.size() < 9 &&
                        name.find_first_not_of("0123456789", 5) == std::string::npos;
  if (numbered) return DeviceChoice{Kind::kCuda, std::stoll(name.substr(5))};
  return std::nullopt;
}

Problem unknown_device(const std::string& name) {
  return {"--device", "auto, cpu, cuda or cuda:N", "\"" + name + "\"", ""};
}

}  // namespace

std::string DeviceChoice::name() const {
  if (kind == Kind::kAuto) return "auto";
  if (kind == Kind::kCpu) return "cpu";
  return index ? "cuda:" + std::to_string(*index) : "cuda";
}

DeviceChoice parse_device(const std::string& name) {
  if (const auto choice = device_named(name)) return *choice;
  throw Error(ExitCode::kUsage, unknown_device(name));
}

Json device_schema() { return typed_schema("string", "auto, cpu, cuda or cuda:N."); }

DeviceChoice read_device(const Json& name, const std::string&, std::vector<Problem>& problems) {
  const auto text = name.get<std::string>();
  const auto choice = device_named(text);
  if (!choice) problems.push_back(unknown_device(text));
  return choice.value_or(DeviceChoice());
}

Json write_device(const DeviceChoice& choice) { return choice.name(); }

at::Device choose_device(const DeviceChoice& choice) {
  using Kind = DeviceChoice::Kind;
  if (choice.kind == Kind::kCpu) return at::kCPU;
  const std::string missing = build_info().cuda ? load_cuda() : "a bilens that was built without CUDA";
  const bool available = missing.empty();
  // Off by default, but containers switch TF32 on by an environment variable: products are what their dtype
  // says.
  if (available) at::globalContext().setAllowTF32CuBLAS(false);
  if (choice.kind == Kind::kAuto) return available ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  const std::string asked = "--device " + choice.name();
  if (!available) {
    throw Error(ExitCode::kUsage,
                {asked, "an NVIDIA GPU", missing,
                 build_info().cuda ? "Use --device cpu, or check the driver with nvidia-smi."
                                   : "Use --device cpu, or build with BILENS_CUDA=ON."});
  }
  const auto count = static_cast<int64_t>(at::detail::getCUDAHooks().deviceCount());
  const int64_t index = choice.index.value_or(0);
  if (index >= count)
    throw Error(ExitCode::kUsage, {asked, "a GPU below " + std::to_string(count), std::to_string(index), ""});
  return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
}

void set_threads(int64_t count) {
  if (count > 0) at::set_num_threads(static_cast<int>(count));
}

void limit_default_threads() {
  if (std::getenv("OMP_NUM_THREADS") != nullptr || std::getenv("MKL_NUM_THREADS") != nullptr) return;
  const auto quota = processor_quota();
  if (quota && *quota < at::get_num_threads()) at::set_num_threads(static_cast<int>(std::ceil(*quota)));
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
