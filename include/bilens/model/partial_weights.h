#pragma once

#include <vector>

#include "bilens/model/mlp_names.h"

namespace bilens {

/// Refuses weights of which the MLPs that were found are only a part, so that no layer is read as something
/// that it is not:
///   - one of several model-parallel files, which holds some of the hidden units (consolidated.00.pth)
///   - experts, which share one layer between them
///   - two stacks of layers in one file, such as a vision tower beside a decoder
///   - a tensor inside an MLP's module that is none of its matrices and biases: LoRA's, a quantiser's scales,
///   a
///     router, a norm between the matrices
///   - a matrix of whole numbers or of 8 bits: codes that mean nothing without their scales
/// @throws Error(kBadInput) that names the tensor or file, and the way on
void refuse_partial_mlps(const Weights& weights, const std::vector<MlpNames>& mlps);

/// @throws Error(kBadInput) for a tensor of whole numbers, of complex numbers or of 8 bits
void require_real(const Weights& weights, const std::string& name);

}  // namespace bilens
