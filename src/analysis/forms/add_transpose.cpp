#include "add_transpose.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace bilens {

namespace {

constexpr int64_t kTile = 256;

void add_transpose_tile(const at::Tensor& a, int64_t row, int64_t column) {
  const int64_t d = a.size(0), rows = std::min(kTile, d - row), columns = std::min(kTile, d - column);
  auto upper = a.narrow(0, row, rows).narrow(1, column, columns);
  auto lower = a.narrow(0, column, columns).narrow(1, row, rows);
  const auto sum = upper + lower.t();
  upper.copy_(sum);
  if (row != column) lower.copy_(sum.t());
}

}  // namespace

void add_transpose(const at::Tensor& a) {
  const int64_t d = a.size(-1);
  if (!a.device().is_cpu()) {
    a.copy_(a + a.mT());
    return;
  }
  std::vector<std::pair<int64_t, int64_t>> tiles;
  for (int64_t row = 0; row < d; row += kTile) {
    for (int64_t column = row; column < d; column += kTile) tiles.emplace_back(row, column);
  }
  const auto each = static_cast<int64_t>(tiles.size());
  const auto matrices = a.view({-1, d, d});
  at::parallel_for(0, matrices.size(0) * each, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto [row, column] = tiles[i % each];
      add_transpose_tile(matrices[i / each], row, column);
    }
  });
}

}  // namespace bilens
