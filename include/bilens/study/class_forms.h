#pragma once

#include "bilens/analysis/forms/bilinear_layer.h"
#include "bilens/model/image_classifier.h"

namespace bilens {

/// The weights of a classifier of one bilinear layer, float64 where the model is.
struct OneLayerWeights {
  BilinearLayer layer;  // with its residual
  at::Tensor embed;     // E [d, d_input]
  at::Tensor head;      // H [classes, d]
};

/// @throws Error(kBadInput) for a classifier of several layers or with a gate, whose logits are no quadratic
/// form
OneLayerWeights one_layer_weights(const ImageClassifier& model);

/// A quadratic form zᵀQz + l·z + c, float64 on the CPU, and how large its terms can be.
struct QuadraticForm {
  at::Tensor matrix;  // Q [r, r]
  at::Tensor linear;  // l [r]
  double constant = 0;
  double size = 0;  // Σ_k |s_k| ‖w_k‖ ‖v_k‖ ≥ ‖Q‖, which rounding follows

  /// @param z [n, r] @return [n]
  at::Tensor values(const at::Tensor& z) const;
  /// How far rounding may have moved a value: [n]. @param norms of the pixels, [n] @param rounding of a sum's
  /// size
  at::Tensor error(const at::Tensor& norms, double rounding) const;
  /// Whether it is 0 everywhere, as of two classes with the same weights.
  bool is_zero() const;
};

/// The logits of such a classifier as quadratic forms of the part of the pixels that it looks at, z = xA.
struct ClassForms {
  explicit ClassForms(const ImageClassifier& model);

  int64_t classes() const { return weights.head.size(0); }
  int64_t dimension() const { return basis.size(1); }
  /// A bound on rounding, relative to the size of what is summed: (d_input + r + h + 16) eps.
  double rounding() const;
  /// The matrices of directions U [n, d] of the last layer's output: [n, r, r].
  at::Tensor matrices(const at::Tensor& directions) const;
  /// The logit of class `of` minus that of class `to`.
  QuadraticForm difference(int64_t of, int64_t to) const;

  OneLayerWeights weights;
  at::Tensor basis;      // A [d_input, r], r = min(d, d_input), orthonormal: Eᵀ = AR
  BilinearLayer folded;  // over z, no residual
  at::Tensor triangle;   // Rᵀ [d, r]
};

}  // namespace bilens
