#pragma once

#include "bilens/analysis/interaction.h"

namespace bilens {

/// Proves bounds on the eigenvalues of Q_u that are not among given ones. By Weyl's inequality: if
///   τI − Q + X₊Θ₊X₊ᵀ ≻ 0 with X₊ of k₊ columns and Θ₊ ≥ 0,
/// at most k₊ eigenvalues of Q reach τ; the same for −Q. A Cholesky decomposition of that matrix less cI that
/// runs through in floating point is a proof when c covers all rounding (Rump, BIT 46, 2006):
/// γ_(d+1)·trace/(1 − γ_(d+1)) for the decomposition, and the a-priori bounds of every product that went into
/// the matrix, γ_n·‖|factors|‖. That bound is of substitution; a GPU's library may multiply by inverses of
/// blocks, so there ‖A − LLᵀ‖ is measured. Everything is float64, from the weights as stored.
class Certifier {
 public:
  /// @param exact   operators over the input, weights as stored; 24hd + 40d² bytes are held beside
  /// them, 32hd while it is made
  explicit Certifier(const InteractionOperator& exact);

  /// A bound τ for direction `index`: at most the given k eigenvalues of Q have |λ| ≥ τ. Tried: between |λ_k|
  /// and the `next` one expected; where that fails, just above |λ_k|. NaN where neither can be proved.
  /// @param eigenvalues [k] float64 by falling |λ|, @param eigenvectors [k, d]
  double bound(int64_t index, const at::Tensor& eigenvalues, const at::Tensor& eigenvectors, double next);

 private:
  void form(int64_t index);
  at::Tensor forming_errors(const at::Tensor& sizes) const;

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

}  // namespace bilens
