#include "kernels/cpu_kernels.h"

namespace bilens {

extern const CpuKernels cpu_kernels_baseline;
#ifdef BILENS_X86_LEVELS
extern const CpuKernels cpu_kernels_v3, cpu_kernels_v4;
#endif

const CpuKernels& cpu_kernels() {
#ifdef BILENS_X86_LEVELS
  static const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  static const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                         __builtin_cpu_supports("avx512vl");
  if (v4) return cpu_kernels_v4;
  if (v3) return cpu_kernels_v3;
#endif
  return cpu_kernels_baseline;
}

}  // namespace bilens
