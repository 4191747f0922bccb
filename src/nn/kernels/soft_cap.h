#pragma once

// Scores that are kept below a bound: c tanh(s/c). Included by attention_kernels.h and attention_step.h.

#include "exponential.h"

namespace bilens {

namespace {

/// tanh x without a call or a branch: near 0 its Taylor series to x^11 (remainder below 2e-8 of it), beyond
/// by e^(-2|x|).
inline float hyperbolic_tangent(float x) {
  const float size = x < 0 ? -x : x, square = x * x;
  const float left = exponential(-2.0f * size);
  const float far = (1.0f - left) / (1.0f + left);
  const float near =
      size *
      (1 + square *
               (-1.0f / 3 +
                square * (2.0f / 15 +
                          square * (-17.0f / 315 + square * (62.0f / 2835 + square * (-1382.0f / 155925))))));
  const float result = size < 0.3f ? near : far;
  return x < 0 ? -result : result;
}

/// Replaces each x by cap tanh(x/cap). @param slopes takes the derivatives, where given
void soft_cap(float* x, float cap, float* slopes, int64_t count) {
  const float inverse = 1.0f / cap;
  if (slopes == nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) x[i] = cap * hyperbolic_tangent(x[i] * inverse);
    return;
  }
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const float t = hyperbolic_tangent(x[i] * inverse);
    x[i] = cap * t;
    slopes[i] = 1.0f - t * t;
  }
}

}  // namespace

}  // namespace bilens
