#pragma once

#include <string>

#include "bilens/analysis/forms/bilinear_layer.h"
#include "bilens/model/mlp_names.h"

namespace bilens {

/// The tensors of a layer and what folds into it.
struct StoredLayer {
  MlpNames names;
  std::string gain, gain_bias;  // of the norm in front; "": nothing is folded there
  std::string behind;           // gain of the norm behind; "": none
  bool one_plus = false;        // gains are 1 + w
};

/// The matrices and biases as they are stored, without what folds into them. Shapes and values are checked.
/// @param where names the layer in messages
/// @throws Error(kBadInput): a tensor that is missing, no matrix of real numbers, not finite or does not fit
BilinearLayer read_matrices(const Weights& weights, const MlpNames& names, const std::string& where);

/// The layer over the normed input before the gain g and bias β, in front of the gain g' behind it:
///   W diag(g), V diag(g), b + Wβ, c + Vβ, diag(g')P, g'p
/// in float64, so that its interaction matrices are those of the stored numbers; tensors of one dtype with
/// nothing to fold are as they are stored. @throws Error(kBadInput)
BilinearLayer read_layer(const Weights& weights, const StoredLayer& stored, const std::string& where);

}  // namespace bilens
