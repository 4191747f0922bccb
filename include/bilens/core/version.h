#pragma once

#include <string>

namespace bilens {

/// What this build is made of; goes into every run's env.json.
struct BuildInfo {
  std::string version;
  std::string compiler;
  std::string build_type;
  std::string torch;
  bool cuda = false;  // whether the CUDA kernels are compiled in
  std::string cuda_toolkit;
};

/// The version of bilens that this is.
const char* version();
/// Version, compiler, libraries and build type of this program.
BuildInfo build_info();

}  // namespace bilens
