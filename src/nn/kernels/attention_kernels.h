#pragma once

// Causal attention of one sequence and key-value head, a block of queries at a time: scores of a block stand
// whole in cache, never those of the sequence. Included by cpu_kernels.cpp only.

#include "attention_narrow.h"
#include "attention_rows.h"
#include "exponential.h"
#include "matrix_tiles.h"
#include "soft_cap.h"

namespace bilens {

namespace {

constexpr int64_t kQueries = 36;            // rows of a block, a multiple of both heights of a tile
static_assert(kQueries >= kWidthMultiple);  // packing borrows the place of the queries

/// The queries of a block and the keys that any of them sees.
struct Block {
  int64_t first, rows;   // queries
  int64_t begin, width;  // keys
};

Block block_at(const AttentionCall& call, int64_t b, int64_t first) {
  const int64_t rows = call.queries - first < kQueries ? call.queries - first : kQueries;
  const int64_t past = call.keys - call.queries;
  const int64_t begin = first_seen(call, b, first + past) / kWidthMultiple * kWidthMultiple;
  return {first, rows, begin, padded(past + first + rows - begin)};
}

/// exp(scores − shift) where the query of that row sees the key, else 0; with `normalise` shift is the row's
/// largest score and log_sums[row] becomes log Σ exp(scores), else shift is log_sums[row]. @return in
/// sums[row] Σ exp(scores − shift).
void exponentiate(const AttentionCall& call, int64_t b, const Block& block, float* scores, float* log_sums,
                  bool normalise, float* sums) {
  for (int64_t i = 0; i < block.rows; ++i) {
    const int64_t token = block.first + i + call.keys - call.queries;
    const int64_t begin = first_seen(call, b, token) - block.begin, end = token + 1 - block.begin;
    float* row = scores + i * block.width;
    for (int64_t j = 0; j < begin; ++j) row[j] = 0;
    for (int64_t j = end; j < block.width; ++j) row[j] = 0;
    float shift = log_sums[i], sum = 0;
    if (normalise) {
      shift = row[begin];
#pragma omp simd reduction(max : shift)
      for (int64_t j = begin; j < end; ++j) shift = row[j] > shift ? row[j] : shift;
    }
#pragma omp simd reduction(+ : sum)
    for (int64_t j = begin; j < end; ++j) {
      row[j] = exponential(row[j] - shift);
      sum += row[j];
    }
    if (normalise) log_sums[i] = shift + __builtin_logf(sum);
    sums[i] = sum;
  }
}

/// Keys or values first, …, first + count − 1 of one sequence and head as a matrix [count, head_dim] for
/// products along keys; zero where padded.
void pack_rows(const AttentionCall& call, const float* x, int64_t b, int64_t kv_head, bool turn,
               int64_t first, int64_t count, float* out) {
  const int64_t width = padded(call.head_dim);
  x += place_of(call.kv_layout, b, kv_head, 0);
  for (int64_t t = first; t < first + count; ++t, out += width) {
    const int64_t filled = t < call.keys ? call.head_dim : 0;
    if (filled > 0) {
      fetch_ahead(call, x + t * call.kv_layout.token, call.kv_layout.token);
      rotate(call, x + t * call.kv_layout.token, position_of(call, b, t), turn, false, 1, out);
    }
    for (int64_t i = filled; i < width; ++i) out[i] = 0;
  }
}

/// All of them as a matrix [head_dim, keys] for products along head_dim; zero where padded. Some rows are
/// gathered at a time, so that what is written lies together.
/// @param rows [kWidthMultiple, padded(head_dim)] takes them
void pack_columns(const AttentionCall& call, const float* x, int64_t b, int64_t kv_head, bool turn,
                  float* rows, float* out) {
  const int64_t keys = padded(call.keys), width = padded(call.head_dim);
  for (int64_t first = 0; first < keys; first += kWidthMultiple) {
    pack_rows(call, x, b, kv_head, turn, first, kWidthMultiple, rows);
    for (int64_t i = 0; i < call.head_dim; ++i) {
      for (int64_t t = 0; t < kWidthMultiple; ++t) out[i * keys + first + t] = rows[t * width + i];
    }
  }
}

/// A block's rows of a tensor in the queries' places, zero where padded; as queries turned and scaled.
void pack_block(const AttentionCall& call, const float* x, const HeadLayout& layout, int64_t b, int64_t head,
                const Block& block, bool as_query, float* out) {
  const int64_t width = padded(call.head_dim);
  for (int64_t i = 0; i < block.rows; ++i) {
    const int64_t t = block.first + i;
    const float* row = x + place_of(layout, b, head, t);
    fetch_ahead(call, row, layout.token);
    rotate(call, row, position_of(call, b, t + call.keys - call.queries), as_query && call.cosine != nullptr,
           false, as_query ? call.scale : 1.0f, out + i * width);
    for (int64_t j = call.head_dim; j < width; ++j) out[i * width + j] = 0;
  }
}

/// Computes the scores of a block's queries with the keys that any of them sees, [rows, width].
/// @param columns_k all keys, by pack_columns
/// @param queries takes the block's queries, by pack_block
/// @param slopes as soft_cap takes it
void score(const AttentionCall& call, const float* q, const float* columns_k, int64_t b, int64_t head,
           const Block& block, float* queries, float* scores, float* slopes) {
  const int64_t keys = padded(call.keys), width = padded(call.head_dim);
  pack_block(call, q, call.q_layout, b, head, block, true, queries);
  multiply(block.rows, block.width, call.head_dim, {queries, width, 1}, columns_k + block.begin, keys, scores,
           block.width, false);
  if (call.soft_cap > 0) soft_cap(scores, call.soft_cap, slopes, block.rows * block.width);
}

/// Takes consecutive parts of one buffer.
struct Scratch {
  float* next;
  float* take(int64_t size) {
    float* part = next;
    next += size;
    return part;
  }
};

int64_t attention_scratch(const AttentionCall& call, bool backward) {
  int64_t size;
  if (dispatch_narrow(call, [&]<int kDim>() { size = narrow_attention_scratch<kDim>(call, backward); })) {
    return size;
  }
  const int64_t keys = padded(call.keys), width = padded(call.head_dim);
  return backward ? keys * (5 * width + 3 * kQueries) + kQueries * (3 * width + 3)
                  : keys * (2 * width + kQueries) + kQueries * (2 * width + 2);
}

void attention(const AttentionCall& call, const float* q, const float* k, const float* v, float* out,
               float* log_sums, int64_t b, int64_t kv_head, float* buffer) {
  if (dispatch_narrow(call, [&]<int kDim>() {
        narrow_attention<kDim>(call, q, k, v, out, log_sums, b, kv_head, buffer);
      })) {
    return;
  }
  const int64_t keys = padded(call.keys), d = call.head_dim, width = padded(d);
  Scratch scratch{buffer};
  float* columns_k = scratch.take(width * keys);
  float* rows_v = scratch.take(keys * width);
  float* scores = scratch.take(kQueries * keys);
  float* queries = scratch.take(kQueries * width);
  float* result = scratch.take(kQueries * width);
  float* sums = scratch.take(kQueries);
  float* unused = scratch.take(kQueries);
  pack_columns(call, k, b, kv_head, call.rotate_keys, queries, columns_k);
  pack_rows(call, v, b, kv_head, false, 0, keys, rows_v);
  const int64_t group = call.heads / call.kv_heads;
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    for (int64_t first = 0; first < call.queries; first += kQueries) {
      const Block block = block_at(call, b, first);
      score(call, q, columns_k, b, head, block, queries, scores, nullptr);
      float* logs = log_sums == nullptr ? unused : log_sums + (b * call.heads + head) * call.queries + first;
      exponentiate(call, b, block, scores, logs, true, sums);
      multiply(block.rows, width, block.width, {scores, block.width, 1}, rows_v + block.begin * width, width,
               result, width, false);
      for (int64_t i = 0; i < block.rows; ++i) {
        float* to = out + place_of(call.out_layout, b, head, first + i);
        const float scale = 1.0f / sums[i];
        for (int64_t j = 0; j < d; ++j) to[j] = result[i * width + j] * scale;
      }
    }
  }
}

/// With P = exp(S − L), S = scale QKᵀ, O = PV: ∂V = Pᵀ∂O, ∂S = P ⊙ (∂O Vᵀ − rowsum(∂O ⊙ O)),
/// ∂Q = scale ∂S K, ∂K = scale ∂Sᵀ Q   (Dao et al., arXiv 2205.14135, appendix B.2); a cap's slope is one
/// more factor of ∂S
void attention_backward(const AttentionCall& call, const float* grad, const float* q, const float* k,
                        const float* v, const float* out, const float* log_sums, float* grad_q, float* grad_k,
                        float* grad_v, int64_t b, int64_t kv_head, float* buffer) {
  if (dispatch_narrow(call, [&]<int kDim>() {
        narrow_attention_backward<kDim>(call, grad, q, k, v, out, log_sums, grad_q, grad_k, grad_v, b,
                                        kv_head, buffer);
      })) {
    return;
  }
  const int64_t keys = padded(call.keys), d = call.head_dim, width = padded(d);
  Scratch scratch{buffer};
  float* columns_k = scratch.take(width * keys);
  float* columns_v = scratch.take(width * keys);
  float* rows_k = scratch.take(keys * width);
  float* sum_k = scratch.take(keys * width);
  float* sum_v = scratch.take(keys * width);
  float* weights = scratch.take(kQueries * keys);
  float* changes = scratch.take(kQueries * keys);
  float* slopes = scratch.take(kQueries * keys);
  float* queries = scratch.take(kQueries * width);
  float* grads = scratch.take(kQueries * width);
  float* result = scratch.take(kQueries * width);
  float* logs = scratch.take(kQueries);
  float* dots = scratch.take(kQueries);
  float* unused = scratch.take(kQueries);
  pack_columns(call, k, b, kv_head, call.rotate_keys, queries, columns_k);
  pack_columns(call, v, b, kv_head, false, queries, columns_v);
  pack_rows(call, k, b, kv_head, call.rotate_keys, 0, keys, rows_k);
  for (int64_t i = 0; i < keys * width; ++i) sum_k[i] = sum_v[i] = 0;

  const int64_t group = call.heads / call.kv_heads;
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    for (int64_t first = 0; first < call.queries; first += kQueries) {
      const Block block = block_at(call, b, first);
      pack_block(call, grad, call.out_layout, b, head, block, false, grads);
      for (int64_t i = 0; i < block.rows; ++i) {
        logs[i] = log_sums[(b * call.heads + head) * call.queries + first + i];
        const float* o = out + place_of(call.out_layout, b, head, first + i);
        float dot = 0;
        for (int64_t j = 0; j < d; ++j) dot += grads[i * width + j] * o[j];
        dots[i] = dot;
      }
      score(call, q, columns_k, b, head, block, queries, weights, slopes);
      exponentiate(call, b, block, weights, logs, false, unused);
      multiply(block.rows, block.width, d, {grads, width, 1}, columns_v + block.begin, keys, changes,
               block.width, false);
      multiply(block.width, width, block.rows, {weights, 1, block.width}, grads, width,
               sum_v + block.begin * width, width, true);
      for (int64_t i = 0; i < block.rows; ++i) {
        const float* p = weights + i * block.width;
        float* c = changes + i * block.width;
#pragma omp simd
        for (int64_t j = 0; j < block.width; ++j) c[j] = p[j] * (c[j] - dots[i]);
      }
      if (call.soft_cap > 0) {
#pragma omp simd
        for (int64_t j = 0; j < block.rows * block.width; ++j) changes[j] *= slopes[j];
      }
      multiply(block.rows, width, block.width, {changes, block.width, 1}, rows_k + block.begin * width, width,
               result, width, false);
      multiply(block.width, width, block.rows, {changes, 1, block.width}, queries, width,
               sum_k + block.begin * width, width, true);
      for (int64_t i = 0; i < block.rows; ++i) {
        const int64_t t = first + i;
        rotate(call, result + i * width, position_of(call, b, t + call.keys - call.queries),
               call.cosine != nullptr, true, call.scale, grad_q + place_of(call.q_layout, b, head, t));
      }
    }
  }
  for (int64_t t = 0; t < call.keys; ++t) {
    const int64_t place = place_of(call.kv_layout, b, kv_head, t);
    const int64_t position = position_of(call, b, t);
    rotate(call, sum_k + t * width, position, call.rotate_keys, true, 1, grad_k + place);
    rotate(call, sum_v + t * width, position, false, true, 1, grad_v + place);
  }
}

}  // namespace

}  // namespace bilens
