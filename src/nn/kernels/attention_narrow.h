#pragma once

// Causal attention of narrow heads. Products along a narrow head are too short for the tiles of
// attention_kernels.h, which spend their time writing scores and reading them; here a few queries at a time
// pass over the keys, kLanes of them in a vector, and what belongs to a pair of query and key stays in
// registers. Included by attention_kernels.h only.

#include <utility>

#include "attention_rows.h"
#include "lanes.h"
#include "matrix_tiles.h"

namespace bilens {

namespace {

constexpr int kTogether = 4;  // queries that share each load of keys and values: faster than 1 and 2

typedef int32_t LaneInts __attribute__((vector_size(kLanes * sizeof(int32_t))));

/// Keys and values of kLanes tokens, or their gradients, by dimension; zero where padded.
template <int kDim>
struct KeyBlock {
  Lanes k[kDim], v[kDim];
};

template <int kDim>
struct BackwardBlock {
  KeyBlock<kDim> in, grad;
};

/// Consecutive queries of one head, zero where padded or beyond the last.
template <int kDim>
struct QueryRows {
  int64_t first, count;                      // queries
  float q[kTogether][kDim];                  // turned, times scale log2 e, so that weights are powers of 2
  int64_t begin[kTogether], end[kTogether];  // the keys that each sees, none for a query beyond the last
  int64_t all_begin, all_end;                // those that all see
};

Lanes infinity() { return Lanes{} + __builtin_inff(); }

/// 2^x for x < 128, exactly 0 below -126.5. As `exponential`, with the polynomial of degree 6 whose largest
/// relative error on [-1/2, 1/2] is smallest, 2e-9.
inline Lanes power_of_two(Lanes x) {
  constexpr float kShift = 12582912.0f + 127;  // the exponent's bias, 127, goes with it
  const Lanes least = Lanes{} - 127.0f;
  x = least > x ? least : x;
  const Lanes shifted = x + kShift;
  const Lanes r = x - (shifted - kShift);
  const Lanes series =
      1 + r * (0.6931472f +
               r * (0.24022648f +
                    r * (0.055503324f + r * (0.009618437f + r * (0.0013398875f + r * 0.00015353362f)))));
  LaneInts bits;
  __builtin_memcpy(&bits, &shifted, sizeof bits);
  bits <<= 23;
  Lanes power;
  __builtin_memcpy(&power, &bits, sizeof power);
  return series * power;
}

template <int... kIndex>
inline LaneInts lane_numbers(std::integer_sequence<int, kIndex...>) {
  return LaneInts{kIndex...};
}

/// `value` in the lanes of keys begin <= key < end, −∞ in the others; lane 0 is key `first`.
inline Lanes where_seen(int64_t first, int64_t begin, int64_t end, float value) {
  const LaneInts key = lane_numbers(std::make_integer_sequence<int, kLanes>()) + static_cast<int32_t>(first);
  const LaneInts seen = (key >= static_cast<int32_t>(begin)) & (key < static_cast<int32_t>(end));
  return seen ? Lanes{} + value : -infinity();
}

/// Block i goes to blocks[i * stride].
template <int kDim>
void pack_keys(const AttentionCall& call, const float* k, const float* v, int64_t b, int64_t kv_head,
               KeyBlock<kDim>* blocks, int64_t stride) {
  for (int64_t t = 0; t < padded(call.keys); ++t) {
    float turned[kDim] = {}, values[kDim] = {};
    if (t < call.keys) {
      const int64_t place = place_of(call.kv_layout, b, kv_head, t);
      rotate(call, k + place, position_of(call, b, t), call.rotate_keys, false, 1, turned);
      for (int64_t i = 0; i < call.head_dim; ++i) values[i] = v[place + i];
    }
    KeyBlock<kDim>& block = blocks[t / kLanes * stride];
    for (int i = 0; i < kDim; ++i) {
      block.k[i][t % kLanes] = turned[i];
      block.v[i][t % kLanes] = values[i];
    }
  }
}

template <int kDim>
QueryRows<kDim> query_rows(const AttentionCall& call, const float* q, int64_t b, int64_t head,
                           int64_t first) {
  constexpr float kLog2E = 1.44269504f;
  QueryRows<kDim> rows = {};
  rows.first = first;
  rows.count = call.queries - first < kTogether ? call.queries - first : kTogether;
  for (int64_t r = 0; r < rows.count; ++r) {
    const int64_t token = first + r + call.keys - call.queries;
    rows.begin[r] = first_seen(call, b, token);
    rows.end[r] = token + 1;
    rotate(call, q + place_of(call.q_layout, b, head, first + r), position_of(call, b, token),
           call.cosine != nullptr, false, call.scale * kLog2E, rows.q[r]);
  }
  rows.all_begin = rows.begin[rows.count - 1];
  rows.all_end = rows.count == kTogether ? rows.end[0] : 0;
  return rows;
}

/// For the blocks of keys that any of the queries sees, body(block, partly): where not `partly`, all see all.
template <int kDim, class Body>
inline void for_blocks(const QueryRows<kDim>& rows, const Body& body) {
  const int64_t end = rows.end[rows.count - 1];
  for (int64_t block = rows.begin[0] / kLanes; block * kLanes < end; ++block) {
    body(block, block * kLanes < rows.all_begin || (block + 1) * kLanes > rows.all_end);
  }
}

/// Outputs of some queries and, where not null, the logarithms to base 2 of their sums of weights.
/// @param scores [keys / kLanes, kTogether]
template <int kDim>
void attend(const AttentionCall& call, const QueryRows<kDim>& rows, const KeyBlock<kDim>* blocks,
            Lanes* scores, float* out, float* log_sums) {
  Lanes largest[kTogether];
  for (int r = 0; r < kTogether; ++r) largest[r] = -infinity();
  for_blocks(rows, [&](int64_t block, bool partly) {
    Lanes s[kTogether] = {};
    if (partly) {
      for (int r = 0; r < kTogether; ++r) s[r] = where_seen(block * kLanes, rows.begin[r], rows.end[r], 0);
    }
    for (int i = 0; i < kDim; ++i) {
      for (int r = 0; r < kTogether; ++r) s[r] += rows.q[r][i] * blocks[block].k[i];
    }
    for (int r = 0; r < kTogether; ++r) {
      scores[block * kTogether + r] = s[r];
      largest[r] = larger(s[r], largest[r]);
    }
  });
  float shift[kTogether], total[kTogether];
  join_lanes<larger>(largest, shift);
  Lanes sums[kTogether][kDim] = {}, totals[kTogether] = {};
  for_blocks(rows, [&](int64_t block, bool) {
    for (int r = 0; r < kTogether; ++r) {
      const Lanes p = power_of_two(scores[block * kTogether + r] - shift[r]);
      totals[r] += p;
      for (int i = 0; i < kDim; ++i) sums[r][i] += p * blocks[block].v[i];
    }
  });
  join_lanes<added>(totals, total);
  for (int64_t r = 0; r < rows.count; ++r) {
    float result[kDim];
    join_lanes<added>(sums[r], result);
    float* to = out + (rows.first + r) * call.out_layout.token;
    for (int64_t i = 0; i < call.head_dim; ++i) to[i] = result[i] * (1.0f / total[r]);
    if (log_sums != nullptr) log_sums[rows.first + r] = shift[r] + __builtin_log2f(total[r]);
  }
}

/// Adds to the gradients of keys and values; @return in grad_q those of the queries before they are turned
/// back. `dy` and `out` as out_layout says, at the head's first query; the equations stand at
/// attention_backward.
template <int kDim>
void attend_backward(const AttentionCall& call, const QueryRows<kDim>& rows, BackwardBlock<kDim>* blocks,
                     const float* dy, const float* out, const float* log_sums,
                     float (&grad_q)[kTogether][kDim]) {
  float grads[kTogether][kDim] = {}, minus_log[kTogether] = {}, minus_dot[kTogether] = {};
  for (int64_t r = 0; r < rows.count; ++r) {
    const int64_t place = (rows.first + r) * call.out_layout.token;
    for (int64_t i = 0; i < call.head_dim; ++i) {
      grads[r][i] = dy[place + i];
      minus_dot[r] -= dy[place + i] * out[place + i];
    }
    minus_log[r] = -log_sums[rows.first + r];
  }
  Lanes sums[kTogether][kDim] = {};
  for_blocks(rows, [&](int64_t number, bool partly) {
    BackwardBlock<kDim>& block = blocks[number];
    Lanes p[kTogether], ds[kTogether];
    for (int r = 0; r < kTogether; ++r) {
      p[r] = Lanes{} + minus_log[r];
      ds[r] = Lanes{} + minus_dot[r];
    }
    if (partly) {
      for (int r = 0; r < kTogether; ++r) {
        p[r] = where_seen(number * kLanes, rows.begin[r], rows.end[r], minus_log[r]);
      }
    }
    for (int i = 0; i < kDim; ++i) {
      for (int r = 0; r < kTogether; ++r) {
        p[r] += rows.q[r][i] * block.in.k[i];
        ds[r] += grads[r][i] * block.in.v[i];
      }
    }
    for (int r = 0; r < kTogether; ++r) {
      p[r] = power_of_two(p[r]);
      ds[r] *= p[r];
    }
    for (int i = 0; i < kDim; ++i) {
      for (int r = 0; r < kTogether; ++r) {
        block.grad.v[i] += p[r] * grads[r][i];
        block.grad.k[i] += ds[r] * rows.q[r][i];
        sums[r][i] += ds[r] * block.in.k[i];
      }
    }
  });
  for (int r = 0; r < kTogether; ++r) join_lanes<added>(sums[r], grad_q[r]);
}

/// As CpuKernels::attention; log_sums to base 2.
template <int kDim>
void narrow_attention(const AttentionCall& call, const float* q, const float* k, const float* v, float* out,
                      float* log_sums, int64_t b, int64_t kv_head, float* buffer) {
  auto* blocks = reinterpret_cast<KeyBlock<kDim>*>(buffer);
  auto* scores = reinterpret_cast<Lanes*>(blocks + padded(call.keys) / kLanes);
  pack_keys<kDim>(call, k, v, b, kv_head, blocks, 1);
  const int64_t group = call.heads / call.kv_heads;
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    float* logs = log_sums == nullptr ? nullptr : log_sums + (b * call.heads + head) * call.queries;
    for (int64_t first = 0; first < call.queries; first += kTogether) {
      attend(call, query_rows<kDim>(call, q, b, head, first), blocks, scores,
             out + place_of(call.out_layout, b, head, 0), logs);
    }
  }
}

/// As CpuKernels::attention_backward.
template <int kDim>
void narrow_attention_backward(const AttentionCall& call, const float* grad, const float* q, const float* k,
                               const float* v, const float* out, const float* log_sums, float* grad_q,
                               float* grad_k, float* grad_v, int64_t b, int64_t kv_head, float* buffer) {
  constexpr float kLn2 = 0.693147181f;
  auto* blocks = reinterpret_cast<BackwardBlock<kDim>*>(buffer);
  pack_keys<kDim>(call, k, v, b, kv_head, &blocks->in, 2);
  for (int64_t j = 0; j < padded(call.keys) / kLanes; ++j) blocks[j].grad = {};
  const int64_t group = call.heads / call.kv_heads;
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    const int64_t place = place_of(call.out_layout, b, head, 0);
    for (int64_t first = 0; first < call.queries; first += kTogether) {
      const auto rows = query_rows<kDim>(call, q, b, head, first);
      float result[kTogether][kDim];
      attend_backward(call, rows, blocks, grad + place, out + place,
                      log_sums + (b * call.heads + head) * call.queries, result);
      for (int64_t r = 0; r < rows.count; ++r) {
        rotate(call, result[r], position_of(call, b, first + r + call.keys - call.queries),
               call.cosine != nullptr, true, call.scale,
               grad_q + place_of(call.q_layout, b, head, first + r));
      }
    }
  }
  for (int64_t t = 0; t < call.keys; ++t) {
    const KeyBlock<kDim>& sums = blocks[t / kLanes].grad;
    const int64_t place = place_of(call.kv_layout, b, kv_head, t);
    float turned[kDim];
    for (int i = 0; i < kDim; ++i) turned[i] = sums.k[i][t % kLanes];
    // Summed with queries that were times scale log2 e.
    rotate(call, turned, position_of(call, b, t), call.rotate_keys, true, kLn2, grad_k + place);
    for (int64_t i = 0; i < call.head_dim; ++i) grad_v[place + i] = sums.v[i][t % kLanes];
  }
}

template <int kDim>
int64_t narrow_attention_scratch(const AttentionCall& call, bool backward) {
  return padded(call.keys) * (backward ? 4 * kDim : 2 * kDim + kTogether);
}

/// Calls `body` with the narrow head that holds one of this size; @return false for wide ones, and for scores
/// with a cap. Measured at
/// 512 tokens on one core with AVX-512, forward and backward together: 3 times as fast as tiles for heads of
/// 4, 1.9 for 8, 1.2 for 16; with AVX2 1.5 for 8, 0.9 for 16.
template <class Body>
bool dispatch_narrow(const AttentionCall& call, const Body& body) {
  if (call.head_dim > 8 || call.soft_cap > 0) return false;
  call.head_dim > 4 ? body.template operator()<8>() : body.template operator()<4>();
  return true;
}

}  // namespace

}  // namespace bilens
