#pragma once

#include <optional>
#include <string>

#include "bilens/records/eigen_pairs.h"
#include "bilens/records/record_file.h"
#include "bilens/records/tensor_table.h"

namespace bilens {

/// Some inputs of a layer, and where they come from.
struct WeightedInputs {
  std::string part;  // "training images", "tokens 50000 to 99999"
  int64_t inputs = 0;
  std::optional<int64_t> documents;  // of a text

  static const RecordTable<WeightedInputs>& record();
};

/// What `"weighting": "data"` finds of a layer: for each direction the terms κ((r·ξ)² − 1) that the form's
/// quadratic part has over inputs x = μ + ξ of covariance Σ.
struct WeightedFactors {
  static constexpr const char* kMethod = "weighted";

  Json data;                               // settings of the data
  WeightedInputs weights;                  // what μ and Σ are of
  std::optional<WeightedInputs> measured;  // what `r2` and `variance` are of; nothing before
  int64_t dimensions = 0;
  double cut = 0;
  bool fixed_length = false;
  EigenSolver solver = EigenSolver::kDense;
  double worst_residual = 0;
  int64_t converged = 0;
  std::optional<int64_t> certified, unchanged;
  double mean_linear_share = 0;
  std::optional<double> mean_linear_r2, mean_r2;

  at::Tensor mean;                                     // [d_in]
  at::Tensor values, shares, readings, patterns;       // [n, k], [n, k], [n, k, d_in] twice
  at::Tensor slope, centre, shift;                     // [n, d_in], [n], [n]
  at::Tensor quadratic_variance, linear_variance;      // [n]
  at::Tensor effective_rank, residuals, vector_error;  // [n], [n, k] twice
  at::Tensor certified_bound, floor;                   // [n]
  at::Tensor variance, r2;                             // [n], [n, k + 1]

  static const RecordTable<WeightedFactors>& record();
  static const TensorTable<WeightedFactors>& tensors();
};

}  // namespace bilens
