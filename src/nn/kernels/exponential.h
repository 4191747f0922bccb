#pragma once

#include <cmath>
#include <cstdint>

#include "bfloat16.h"

namespace bilens {

/// e^x without a call or a branch, so that loops over it are vectorised: x = n ln 2 + r, |r| ≤ ln 2 / 2, and
/// the Taylor series of e^r to r^7 (remainder below 6e-9). Relative error below 2 eps for x in [-87, 88];
/// beyond, the value at the nearer end. ln 2 in two parts as in Cody & Waite (1980).
BILENS_HOST_DEVICE inline float exponential(float x) {
#ifdef __CUDA_ARCH__
  return expf(x);
#else
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, kept in the low bits
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  const float shifted = x * 1.44269504f + kShift;
  const float n = shifted - kShift;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  const float series =
      1 + r * (1 + r * (1.0f / 2 +
                        r * (1.0f / 6 +
                             r * (1.0f / 24 + r * (1.0f / 120 + r * (1.0f / 720 + r * (1.0f / 5040)))))));
  uint32_t bits;
  __builtin_memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 127u) << 23;  // 2^n: the shift's own bits leave at the top
  float power;
  __builtin_memcpy(&power, &bits, sizeof power);
  return series * power;
#endif
}

BILENS_HOST_DEVICE inline double exponential(double x) { return exp(x); }

}  // namespace bilens
