#pragma once

#include <ATen/core/Tensor.h>

#include <limits>
#include <string>
#include <vector>

namespace bilens {

/// What linear least squares needs of data that stream by, float64: Σ w hhᵀ [p, p], Σ w thᵀ [m, p], Σ w‖t‖².
/// Sums of parts of the data add up, and the squared error of any D follows from them alone.
struct LeastSquaresSums {
  at::Tensor hh, th;
  double tt = 0.0;

  LeastSquaresSums(int64_t features, int64_t outputs, at::Device device);

  /// @param features h [n, p], @param targets t [n, m], @param weights w [n]; of any real dtype
  void add(const at::Tensor& features, const at::Tensor& targets, const at::Tensor& weights);

  /// Σ w‖t − Dh‖² / Σ w‖t‖² of D [m, p]; 0 without data.
  double relative_error(const at::Tensor& matrix) const;
};

/// Ridges that are tried, in units of the mean diagonal element of Σ w hhᵀ: 1 ... 1e-8: below, the ridge
/// would magnify the roundings of directions that no data point to.
const std::vector<double>& default_ridges();

struct RidgeFit {
  at::Tensor matrix;  // D, float64 [m, p]
  // The chosen one, relative as above; infinite where D₀ itself does best.
  double ridge = std::numeric_limits<double>::infinity();
  double error_before = 0.0, error = 0.0;  // relative errors on the held-back data, of D₀ and of D
};

/// argmin_D Σ w‖t − Dh‖² + ρ‖D − D₀‖² for each ridge ρ, and of those and D₀ (ρ = ∞) the one with the smallest
/// error on data held back. Shrinking to D₀ rather than 0 leaves alone what the data do not determine. One
/// eigendecomposition serves all ridges: D = D₀ + (Σ w thᵀ − D₀ Σ w hhᵀ) U (Λ + ρ)⁻¹ Uᵀ.
/// @param start D₀ [m, p]
/// @throws Error(kBadInput), naming `where`, for sums that are not finite
RidgeFit fit_ridge(const LeastSquaresSums& train, const LeastSquaresSums& held_back, const at::Tensor& start,
                   const std::string& where, const std::vector<double>& ridges = default_ridges());

}  // namespace bilens
