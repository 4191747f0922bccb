#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace bilens {

/// A quadratic g + 2 b·δ + Σ λ_i δ_i² of a step δ, in the eigenbasis of its matrix. With each figure stands
/// how far it may be from what it stands for, because it was computed in float64.
struct StepQuadratic {
  double value = 0;                   // g, of the origin
  const double* slope = nullptr;      // b [size]
  const double* curvature = nullptr;  // λ [size], ascending
  int64_t size = 0;
  double value_error = 0, slope_error = 0, curvature_error = 0;  // of g, of ‖b‖, of each λ
};

/// The smallest step to where a quadratic is not positive, ‖δ‖ with g + 2 b·δ + Σ λ_i δ_i² ≤ 0.
struct SmallestStep {
  double lower = 0;          // no shorter step gets there, rounding taken off; ∞ where none does at all
  std::vector<double> step;  // δ [size], which gets there but for rounding; empty where none does
};

/// Solves φ(ν) = g − Σ b_i² ν(2 + νλ_i)/(1 + νλ_i)² = 0 for the multiplier 0 ≤ ν < −1/λ_min, by Newton's
/// steps in a bracket. Then δ_i = −ν b_i/(1 + ν λ_i), and νg − ν² Σ b_i²/(1 + νλ_i) ≤ ‖δ‖² bounds every step
/// from below. Where φ stays positive, a part along the eigenvector of λ_min makes up the rest (the
/// trust-region method's hard case).
/// @param quadratic with g ≥ 0
SmallestStep smallest_step(const StepQuadratic& quadratic);

}  // namespace bilens
