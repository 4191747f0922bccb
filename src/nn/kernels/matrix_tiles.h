#pragma once

// Products of small matrices from registers. Included by cpu_kernels.cpp only.

#include <cstdint>

#include "lanes.h"

namespace bilens {

namespace {

constexpr int kTileRows = kLanes == 16 ? 12 : 6;  // 24 sums of 32 registers, 12 of 16
constexpr int64_t kWidthMultiple = 16;  // of every matrix here, so that all instruction sets take the same

/// A matrix whose element (i, j) stands at data[i * row + j * column].
struct Strided {
  const float* data;
  int64_t row, column;
};

/// C [kRows, kVectors * kLanes] = A B, or += A B. B's rows are ldb apart, C's ldc.
template <int kRows, int kVectors>
inline void tile(Strided a, const float* b, int64_t ldb, float* c, int64_t ldc, int64_t inner, bool add) {
  Lanes sums[kRows][kVectors];
  for (int i = 0; i < kRows; ++i) {
    for (int v = 0; v < kVectors; ++v) sums[i][v] = add ? load(c + i * ldc + v * kLanes) : Lanes{};
  }
  for (int64_t k = 0; k < inner; ++k) {
    Lanes row[kVectors];
    for (int v = 0; v < kVectors; ++v) row[v] = load(b + k * ldb + v * kLanes);
    for (int i = 0; i < kRows; ++i) {
      const float factor = a.data[i * a.row + k * a.column];
      for (int v = 0; v < kVectors; ++v) sums[i][v] += factor * row[v];
    }
  }
  for (int i = 0; i < kRows; ++i) {
    for (int v = 0; v < kVectors; ++v) store(c + i * ldc + v * kLanes, sums[i][v]);
  }
}

/// The last rows, fewer than kTileRows.
template <int kRows, int kVectors>
inline void last_rows(int64_t rows, Strided a, const float* b, int64_t ldb, float* c, int64_t ldc,
                      int64_t inner, bool add) {
  if constexpr (kRows > 0) {
    if (rows == kRows) return tile<kRows, kVectors>(a, b, ldb, c, ldc, inner, add);
    last_rows<kRows - 1, kVectors>(rows, a, b, ldb, c, ldc, inner, add);
  }
}

template <int kVectors>
inline void columns(int64_t rows, Strided a, const float* b, int64_t ldb, float* c, int64_t ldc,
                    int64_t inner, bool add) {
  int64_t i = 0;
  for (; i + kTileRows <= rows; i += kTileRows) {
    tile<kTileRows, kVectors>({a.data + i * a.row, a.row, a.column}, b, ldb, c + i * ldc, ldc, inner, add);
  }
  last_rows<kTileRows - 1, kVectors>(rows - i, {a.data + i * a.row, a.row, a.column}, b, ldb, c + i * ldc,
                                     ldc, inner, add);
}

/// C [rows, width] = A [rows, inner] B [inner, width], or += A B; width a multiple of kWidthMultiple.
inline void multiply(int64_t rows, int64_t width, int64_t inner, Strided a, const float* b, int64_t ldb,
                     float* c, int64_t ldc, bool add) {
  int64_t j = 0;
  for (; j + 2 * kLanes <= width; j += 2 * kLanes) columns<2>(rows, a, b + j, ldb, c + j, ldc, inner, add);
  for (; j < width; j += kLanes) columns<1>(rows, a, b + j, ldb, c + j, ldc, inner, add);
}

}  // namespace

}  // namespace bilens
