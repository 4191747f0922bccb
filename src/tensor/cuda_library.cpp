#include "bilens/tensor/cuda_library.h"

#include <ATen/ATen.h>
#include <dlfcn.h>

#include <stdexcept>
#include <string>

namespace bilens {

namespace {

struct Library {
  void* handle;
  std::string problem;

  Library(const char* name, int mode) : handle(dlopen(name, mode)) {
    if (handle == nullptr) problem = dlerror();
  }
};

/// Found beside the program or by its run path; its symbols are there for LibTorch's registries.
const Library& library() {
  static const Library found("libbilens_cuda.so", RTLD_NOW | RTLD_GLOBAL);
  return found;
}

const Library& driver() {
  static const Library found("libcuda.so.1", RTLD_LAZY);
  return found;
}

}  // namespace

std::string load_cuda() {
  if (driver().handle == nullptr) return "no driver: " + driver().problem;
  if (library().handle == nullptr) return library().problem;
  return at::hasCUDA() ? "" : "none that the driver can use";
}

void* cuda_symbol(const char* name) {
  const Library& there = library();
  void* const found = there.handle == nullptr ? nullptr : dlsym(there.handle, name);
  if (found == nullptr) {
    throw std::runtime_error(std::string(name) + ": built without CUDA, or libbilens_cuda.so is not beside " +
                             "the program: " + (there.handle == nullptr ? there.problem : dlerror()));
  }
  return found;
}

}  // namespace bilens
