#pragma once

#include "bilens/analysis/eigen/eigen.h"
#include "bilens/analysis/forms/interaction.h"

namespace bilens {

/// What a Certifier holds beside the stored weights, in bytes, at most.
constexpr int64_t certifier_bytes(int64_t d_hidden, int64_t d) { return 8 * d * (4 * d_hidden + 8 * d); }

/// Proves bounds on the eigenvalues of Q_u that are not among given ones. By Weyl's inequality: if
///   τI − Q + X₊Θ₊X₊ᵀ ≻ 0 with X₊ of k₊ columns and Θ₊ ≥ 0,
/// at most k₊ eigenvalues of Q reach τ; the same for −Q. A Cholesky decomposition of that matrix less cI that
/// runs through in floating point is a proof when c covers all rounding (Rump, BIT 46, 2006):
/// γ_(d+1)·trace/(1 − γ_(d+1)) for the decomposition, and the a-priori bounds of every product that went into
/// the matrix, γ_n·‖|factors|‖: those of weights that were made in float64 from stored ones too (gains, a
/// difference, a trace taken out), and 1e-300 for numbers below float64's range. That bound is of
/// substitution; a GPU's library may multiply by inverses of blocks, so there ‖A − LLᵀ‖ is measured.
/// Everything is float64, from the weights as stored.
class Certifier {
 public:
  /// @param exact   operators over the input, weights as stored; 24hd + 40d² bytes are held beside
  /// them, 32hd while it is made
  explicit Certifier(const InteractionOperator& exact);

  /// A bound τ for direction `index`: at most the given k eigenvalues of Q have |λ| ≥ τ. Tried: between |λ_k|
  /// and the `next` one expected; where that fails, just above |λ_k|. NaN where neither can be proved.
  /// @param eigenvalues [k] float64 by falling |λ|, @param eigenvectors [k, d]
  double bound(int64_t index, const at::Tensor& eigenvalues, const at::Tensor& eigenvectors, double next);

  /// A bound on ‖Q − Σ_l λ_l v_l v_lᵀ‖₂ of direction `index`, whatever the λ and v: what such pairs leave of
  /// the form. NaN where float64 does not hold it.
  /// @param eigenvalues [k] float64, @param eigenvectors [k, d]
  double remainder(int64_t index, const at::Tensor& eigenvalues, const at::Tensor& eigenvectors);

 private:
  void form(int64_t index);
  at::Tensor forming_errors(const at::Tensor& sizes) const;
  double rounding(int64_t index, const at::Tensor& eigenvalues, const at::Tensor& eigenvectors) const;

  const InteractionOperator& exact_;
  at::Tensor gate_, up_;  // WE, VE [h, d] float64
  // Kept from direction to direction: fresh pages cost as much as filling them.
  at::Tensor weighted_up_;       // s/2 ⊙ VE [h, d]
  at::Tensor q_;                 // [d, d]
  struct Side {                  // of one sign
    at::Tensor shifted, factor;  // [d, d]
  } below_, above_;
  int64_t terms_;              // products summed in an entry of Q, all stages together
  at::Tensor forming_errors_;  // [n] of ‖Q as formed − Q‖₂
};

/// Certifier::remainder for eigenpairs as they are stored: [n] float64, CPU. 2hd² operations a direction and
/// an eigenproblem without vectors. @throws Stopped
at::Tensor remainder_bounds(const EigenProblem& problem, const EigenPairs& pairs, at::Device device);

}  // namespace bilens
