#pragma once

#include <cstdio>

#include "bilens/tensor/cuda_library.h"

namespace bilens::test {

/// Whether there is a GPU to test on; ctest shows a test that prints this line as skipped.
inline bool have_gpu() {
  if (load_cuda().empty()) return true;
  std::printf("SKIP: no GPU\n");
  return false;
}

}  // namespace bilens::test
