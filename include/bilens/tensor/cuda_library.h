#pragma once

#include <string>

namespace bilens {

/// What of bilens and of LibTorch needs CUDA is a library of its own, libbilens_cuda.so, loaded when a GPU is
/// first asked for: a run on the CPU starts faster and carries 280 MB less. Nothing may ask LibTorch for a
/// GPU before, which remembers the answer.
/// @return what is missing: the driver, the library or a GPU; empty where a GPU can be used
std::string load_cuda();

/// What the library exports under a name. @throws std::runtime_error where there is none
void* cuda_symbol(const char* name);

}  // namespace bilens
