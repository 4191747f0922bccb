#pragma once

// Vectors as wide as the instruction set has them. Included by the kernels that are written in them.

#include <cstdint>
#include <utility>

namespace bilens {

namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float)), aligned(sizeof(float)), may_alias));

inline Lanes load(const float* from) { return *reinterpret_cast<const Lanes*>(from); }
inline void store(float* to, Lanes value) { *reinterpret_cast<Lanes*>(to) = value; }

inline Lanes larger(Lanes a, Lanes b) { return a > b ? a : b; }
inline Lanes added(Lanes a, Lanes b) { return a + b; }

template <Lanes (*kJoin)(Lanes, Lanes), int... kIndex>
inline Lanes join_pairs(Lanes a, Lanes b, std::integer_sequence<int, kIndex...>) {
  return kJoin(__builtin_shufflevector(a, b, (2 * kIndex)...),
               __builtin_shufflevector(a, b, (2 * kIndex + 1)...));
}

/// results[i] = all lanes of vector i joined; the vectors are overwritten.
template <Lanes (*kJoin)(Lanes, Lanes), int kCount>
inline void join_lanes(Lanes (&vectors)[kCount], float* results) {
  int count = kCount;
#pragma GCC unroll 8
  for (int width = kLanes; width > 1; width /= 2) {
    const int half = (count + 1) / 2;
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) {
      vectors[i] = join_pairs<kJoin>(vectors[2 * i], vectors[2 * i + 1 < count ? 2 * i + 1 : 2 * i],
                                     std::make_integer_sequence<int, kLanes>());
    }
    count = half;
  }
  __builtin_memcpy(results, vectors, kCount * sizeof(float));
}

}  // namespace

}  // namespace bilens
