#include "gram_tiles.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/core/error.h"
#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace {

constexpr int64_t kLargestTile = 512;  // hidden units; products of 1024 rows run at full speed
constexpr int64_t kSmallestTile = 32;

int64_t tile_units(int64_t d, int64_t n, int64_t memory_limit) {
  // X_i, X_j, X_jK and a visitor's sum over the input, two of S and a sum over directions; the products and
  // what is made of them.
  const auto bytes = [&](int64_t units) { return 8 * units * (8 * d + 3 * n + 9 * units); };
  int64_t units = kLargestTile;
  while (units > kSmallestTile && bytes(units) > memory_limit) units /= 2;
  return units;
}

/// A part of a matrix that is kept from tile to tile: fresh memory would cost as much as filling it.
class Buffer {
 public:
  Buffer(int64_t numbers, const at::TensorOptions& options) : numbers_(at::empty({numbers}, options)) {}
  at::Tensor matrix(int64_t rows, int64_t columns) const {
    return numbers_.narrow(0, 0, rows * columns).view({rows, columns});
  }

 private:
  at::Tensor numbers_;
};

/// [W; V] of some hidden units, [2·count, d] float64.
at::Tensor units_of(const BilinearLayer& layer, int64_t first, int64_t count, const Buffer& buffer) {
  auto both = buffer.matrix(2 * count, layer.d_in());
  both.narrow(0, 0, count).copy_(layer.gate.narrow(0, first, count));
  both.narrow(0, count, count).copy_(layer.up.narrow(0, first, count));
  return both;
}

/// Kᵀ = E_b E_aᵀ [d_b, d_a], or undefined for the identity.
at::Tensor transposed_metric(const InteractionOperator& a, const InteractionOperator& b) {
  if (!a.embed().defined() && !b.embed().defined()) return {};
  if (!a.embed().defined()) return b.embed().to(at::kDouble);
  if (!b.embed().defined()) return a.embed().to(at::kDouble).t();
  return b.embed().to(at::kDouble).mm(a.embed().to(at::kDouble).t());
}

}  // namespace

void for_each_tile(const InteractionOperator& a, const InteractionOperator& b, bool symmetric,
                   int64_t memory_limit, const std::function<void(GramTile& tile)>& visit) {
  if (a.dimension() != b.dimension()) {
    throw Error(ExitCode::kBadInput,
                {"input space", std::to_string(a.dimension()) + " numbers, as in the other layer",
                 std::to_string(b.dimension()), "Interactions are compared over one input space."});
  }
  const int64_t rows = a.layer().d_hidden(), columns = b.layer().d_hidden();
  const int64_t units =
      tile_units(std::max(a.layer().d_in(), b.layer().d_in()), std::max(a.count(), b.count()), memory_limit);
  const auto metric = transposed_metric(a, b);
  const auto options = a.layer().gate.options().dtype(at::kDouble);
  const Buffer row_buffer(2 * units * a.layer().d_in(), options), product_buffer(4 * units * units, options),
      column_buffer(2 * units * b.layer().d_in(), options);
  Progress progress("products of hidden units", symmetric ? rows * (rows + 1) / 2 : rows * columns, "pairs");
  for (int64_t column = 0; column < columns; column += units) {
    GramTile tile;
    tile.column = column;
    tile.columns = std::min(units, columns - column);
    tile.column_units = units_of(b.layer(), column, tile.columns, column_buffer);
    const auto images = metric.defined() ? tile.column_units.mm(metric) : tile.column_units;
    const int64_t end = symmetric ? column + tile.columns : rows;
    for (int64_t row = 0; row < end; row += units) {
      if (stop_requested()) throw Stopped{};
      const bool on_diagonal = symmetric && row == column;
      tile.row = row;
      tile.rows = std::min(units, end - row);
      tile.row_units = on_diagonal ? tile.column_units : units_of(a.layer(), row, tile.rows, row_buffer);
      tile.products = product_buffer.matrix(2 * tile.rows, 2 * tile.columns);
      at::mm_out(tile.products, tile.row_units, images.t());
      tile.ends_column = row + tile.rows == end;
      tile.weight = on_diagonal ? 0.5 : 1.0;
      visit(tile);
      progress.advance(on_diagonal ? tile.rows * (tile.rows + 1) / 2 : tile.rows * tile.columns);
    }
  }
}

at::Tensor scales_of(const InteractionOperator& q, int64_t first, int64_t count) {
  return q.scales().narrow(1, first, count).to(at::kDouble);
}

InteractionOperator checked_operator(const EigenProblem& problem) {
  check_layer(problem.layer, "layer");
  if (problem.embed.defined()) {
    require_shape(problem.embed, {problem.layer.d_in(), -1}, "embedding");
    require_finite(problem.embed, "embedding");
  }
  if (!problem.directions.defined()) return {problem.layer, {}, problem.embed};
  require_shape(problem.directions, {-1, problem.layer.d_out()}, "directions");
  require_finite(problem.directions, "directions");
  return {problem.layer, problem.directions.to(at::kDouble), problem.embed};
}

}  // namespace bilens
