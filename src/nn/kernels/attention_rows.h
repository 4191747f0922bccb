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

/// x, turned to its position p where there are angles: pairs (x_i, x_{i + r/2}) of the first r numbers by
/// p ω_i, times `scale`. With `back` by −p ω_i.
void rotate(const AttentionCall& call, const float* x, int64_t position, bool turn, bool back, float scale,
            float* out) {
  const int64_t half = turn ? call.rotary_dim / 2 : 0;
  for (int64_t i = 2 * half; i < call.head_dim; ++i) out[i] = scale * x[i];
  if (half == 0) return;
  const float *cosine = call.cosine + position * half, *sine = call.sine + position * half;
  const float sign = back ? -scale : scale;
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[i], b = x[i + half], c = scale * cosine[i], s = sign * sine[i];
    out[i] = a * c - b * s;
    out[i + half] = b * c + a * s;
  }
}

/// Fetches a head's numbers some tokens ahead: they lie too far apart, token after token, for the processor
/// to see what comes next.
void fetch_ahead(const AttentionCall& call, const float* x, int64_t token_stride) {
  constexpr int64_t kTokens = 8, kLine = 16;
  for (int64_t i = 0; i < call.head_dim; i += kLine) __builtin_prefetch(x + kTokens * token_stride + i);
}

int64_t start_of(const AttentionCall& call, int64_t b, int64_t token) {
  return call.starts == nullptr ? 0 : call.starts[b * call.keys + token];
}

/// The first key that a token sees.
int64_t first_seen(const AttentionCall& call, int64_t b, int64_t token) {
  const int64_t start = start_of(call, b, token), oldest = token + 1 - call.window;
  return call.window > 0 && oldest > start ? oldest : start;
}

/// The position of a token in its document.
int64_t position_of(const AttentionCall& call, int64_t b, int64_t token) {
  return token - start_of(call, b, token);
}

}  // namespace

}  // namespace bilens
