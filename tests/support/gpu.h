#pragma once

#include <ATen/Context.h>

#include <cstdio>

namespace bilens::test {

/// Whether there is a GPU to test on; ctest shows a test that prints this line as skipped.
inline bool have_gpu() {
  if (at::hasCUDA()) return true;
  std::printf("SKIP: no GPU\n");
  return false;
}

}  // namespace bilens::test
