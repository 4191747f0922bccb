#pragma once

// What softmax needs of a row. Included by row_kernels.h and attention_step.h.

#include "exponential.h"

namespace bilens {

namespace {

/// The largest number of a row before its exponentials, and the sum of these.
struct Exponentials {
  float largest, sum;
};

/// x ← exp(x − largest).
Exponentials exponentials(float* x, int64_t count) {
  float largest = x[0], sum = 0;
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < count; ++i) largest = x[i] > largest ? x[i] : largest;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) {
    x[i] = exponential(x[i] - largest);
    sum += x[i];
  }
  return {largest, sum};
}

}  // namespace

}  // namespace bilens
