#pragma once

// What both ways of computing attention share. Included by attention_narrow.h and attention_kernels.h.

#include "cpu_kernels.h"
#include "matrix_tiles.h"

namespace bilens {

namespace {

int64_t padded(int64_t size) { return (size + kWidthMultiple - 1) / kWidthMultiple * kWidthMultiple; }

/// Where the numbers of a token stand.
int64_t place_of(const HeadLayout& layout, int64_t b, int64_t head, int64_t token) {
  return b * layout.batch + head * layout.head + token * layout.token;
}

/// x, turned to its position p where there are angles: pairs (x_i, x_{i + d/2}) by p ω_i, times `scale`.
/// With `back` by −p ω_i.
void rotate(const AttentionCall& call, const float* x, int64_t position, bool turn, bool back, float scale,
            float* out, int64_t out_stride) {
  const int64_t half = call.head_dim / 2;
  if (!turn) {
    for (int64_t i = 0; i < 2 * half; ++i) out[i * out_stride] = scale * x[i];
    return;
  }
  const float *cosine = call.cosine + position * half, *sine = call.sine + position * half;
  const float sign = back ? -scale : scale;
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[i], b = x[i + half], c = scale * cosine[i], s = sign * sine[i];
    out[i * out_stride] = a * c - b * s;
    out[(i + half) * out_stride] = b * c + a * s;
  }
}

int64_t start_of(const AttentionCall& call, int64_t b, int64_t token) {
  return call.starts == nullptr ? 0 : call.starts[b * call.keys + token];
}

/// The position of a token in its document.
int64_t position_of(const AttentionCall& call, int64_t b, int64_t token) {
  return token - start_of(call, b, token);
}

}  // namespace

}  // namespace bilens
