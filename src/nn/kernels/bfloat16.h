#pragma once

// bfloat16 as its bits, for the CPU loops and the CUDA kernels alike: neither reads LibTorch's headers.

#include <cstdint>

// Arithmetic that the CPU's loops and the CUDA kernels share. On the CPU always part of the loop that uses
// it: those are compiled once for each instruction set, and a function of one, left to the linker, could
// serve another.
#ifdef __CUDACC__
#define BILENS_HOST_DEVICE __host__ __device__
#else
#define BILENS_HOST_DEVICE [[gnu::always_inline]]
#endif

namespace bilens {

struct Bfloat16 {
  uint16_t bits;

  Bfloat16() = default;
  /// Rounds to the nearest, ties to even; NaN stays NaN.
  BILENS_HOST_DEVICE explicit Bfloat16(float value) {
    uint32_t wide;
    __builtin_memcpy(&wide, &value, sizeof wide);
    const uint32_t rounded = (wide + 0x7fffu + ((wide >> 16) & 1u)) >> 16;
    bits = static_cast<uint16_t>(value != value ? 0x7fc0u : rounded);
  }
  BILENS_HOST_DEVICE explicit operator float() const {
    const uint32_t wide = static_cast<uint32_t>(bits) << 16;
    float value;
    __builtin_memcpy(&value, &wide, sizeof value);
    return value;
  }
};

/// What numbers of type T are computed in.
template <class T>
struct Computation {
  using type = T;
};
template <>
struct Computation<Bfloat16> {
  using type = float;
};

}  // namespace bilens
