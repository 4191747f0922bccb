#include "bilens/tensor/cuda_library.h"

#include <ATen/ATen.h>
#include <dlfcn.h>

#include <stdexcept>
#include <string>

namespace bilens {

namespace {

/// Found beside the program or by its run path; its symbols are there for LibTorch's registries.
void* library() {
  static void* const handle = dlopen("libbilens_cuda.so", RTLD_NOW | RTLD_GLOBAL);
  return handle;
}

bool has_driver() {
  static const bool found = dlopen("libcuda.so.1", RTLD_LAZY) != nullptr;
  return found;
}

}  // namespace

bool load_cuda() { return has_driver() && library() != nullptr && at::hasCUDA(); }

void* cuda_symbol(const char* name) {
  void* const found = library() == nullptr ? nullptr : dlsym(library(), name);
  if (found == nullptr) {
    const char* reason = dlerror();
    throw std::runtime_error(std::string(name) + ": built without CUDA, or libbilens_cuda.so is not beside " +
                             "the program" + (reason == nullptr ? "" : ": " + std::string(reason)));
  }
  return found;
}

}  // namespace bilens
