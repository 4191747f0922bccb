#pragma once

#include <functional>

#include "bilens/analysis/eigen/eigen.h"
#include "bilens/analysis/forms/interaction.h"

namespace bilens {

/// Inner products over the input of some hidden units i of one layer with some units j of another. With
/// X = [W; V] of those units: X_i K X_jᵀ, K = E_a E_bᵀ for input maps, else the identity.
struct GramTile {
  int64_t row, rows;                   // units of the first layer
  int64_t column, columns;             // units of the second layer
  at::Tensor row_units, column_units;  // X_i [2·rows, d_a], X_j [2·columns, d_b], float64
  at::Tensor products;  // [2·rows, 2·columns] = [[WWᵀ, WVᵀ], [VWᵀ, VVᵀ]]; may be written over
  bool ends_column;     // the last tile of these columns
  double weight;        // ½ on the diagonal of a symmetric pair, else 1
};

/// Visits the tiles of two layers over one input space, column after column. With `symmetric` the second
/// layer is the first, and only tiles on and above the diagonal come, those on it with half their weight: the
/// sum over them and its transpose make the whole.
/// @param memory_limit bytes for a tile and what is made of it, S of both included
/// @throws Error(kBadInput), Stopped
void for_each_tile(const InteractionOperator& a, const InteractionOperator& b, bool symmetric,
                   int64_t memory_limit, const std::function<void(GramTile& tile)>& visit);

/// S of hidden units first … first+count−1 in float64, [n, count].
at::Tensor scales_of(const InteractionOperator& q, int64_t first, int64_t count);

/// The operator of a checked problem, S in float64 where directions are given. @throws Error(kBadInput)
InteractionOperator checked_operator(const EigenProblem& problem);

}  // namespace bilens
