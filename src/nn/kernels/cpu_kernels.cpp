// Compiled several times, with BILENS_KERNELS naming the result: see cmake/Simd.cmake.
#include "cpu_kernels.h"

#include "attention_kernels.h"
#include "attention_step.h"
#include "row_kernels.h"
#include "row_product.h"

namespace bilens {

namespace {

template <class T>
constexpr GatedKernels<T> gated() {
  return {&gated_forward<T>, &gated_backward<T>};
}

}  // namespace

extern const CpuKernels BILENS_KERNELS;
const CpuKernels BILENS_KERNELS = {&row_product,       gated<float>(), gated<double>(),
                                   gated<Bfloat16>(),  &rms_norm,      &rms_norm_backward,
                                   &cross_entropy,     &attention,     &attention_backward,
                                   &attention_scratch, &extend_cache,  &attention_step};

}  // namespace bilens
