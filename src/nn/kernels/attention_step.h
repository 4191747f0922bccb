#pragma once

// Attention with a cache of keys and values. Included by cpu_kernels.cpp only.

#include "attention_rows.h"
#include "exponentials.h"
#include "matrix_tiles.h"
#include "row_product.h"
#include "soft_cap.h"

namespace bilens {

namespace {

/// Puts the last tokens' keys, turned to their positions, and values into the cache.
void extend_cache(const AttentionCall& call, const float* k, const float* v, float* keys, float* values,
                  int64_t b, int64_t kv_head) {
  for (int64_t i = 0; i < call.queries; ++i) {
    const int64_t token = call.keys - call.queries + i;
    const int64_t from = place_of(call.q_layout, b, kv_head, i),
                  to = place_of(call.kv_layout, b, kv_head, token);
    rotate(call, k + from, token, true, false, 1, keys + to);
    for (int64_t j = 0; j < call.head_dim; ++j) values[to + j] = v[from + j];
  }
}

/// to [width] = Σ_t weights[t] values[t], rows of `values` next to each other.
void weighted_sum(const float* weights, const float* values, int64_t count, int64_t width, float* to) {
  const int64_t wide = width / kWidthMultiple * kWidthMultiple;
  if (wide > 0) multiply(1, wide, count, {weights, 0, 1}, values, width, to, width, false);
  for (int64_t j = wide; j < width; ++j) to[j] = 0;
  for (int64_t t = 0; t < count && wide < width; ++t) {
    for (int64_t j = wide; j < width; ++j) to[j] += weights[t] * values[t * width + j];
  }
}

/// As `attention`, for the last token of a sequence alone: there is nothing that packing keys would serve
/// twice, so they are read where they stand.
void attention_step(const AttentionCall& call, const float* q, const float* keys, const float* values,
                    float* out, int64_t b, int64_t kv_head, float* scratch) {
  const int64_t d = call.head_dim, group = call.heads / call.kv_heads;
  float *query = scratch, *weights = scratch + padded(d);
  const int64_t first = first_seen(call, b, call.keys - 1), count = call.keys - first;
  keys += place_of(call.kv_layout, b, kv_head, first);
  values += place_of(call.kv_layout, b, kv_head, first);
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    rotate(call, q + place_of(call.q_layout, b, head, 0), call.keys - 1, true, false, call.scale, query);
    row_product(keys, query, weights, count, d);
    if (call.soft_cap > 0) soft_cap(weights, call.soft_cap, nullptr, count);
    const float scale = 1.0f / exponentials(weights, count).sum;
    for (int64_t t = 0; t < count; ++t) weights[t] *= scale;
    weighted_sum(weights, values, count, d, out + place_of(call.out_layout, b, head, 0));
  }
}

}  // namespace

}  // namespace bilens
