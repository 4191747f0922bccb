#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

namespace bilens {

/// Eigenpairs of symmetric matrices [c, r, r] by the library, on the CPU one matrix a thread: two small ones
/// at once take little more than half the time of two threads on each in turn. NaN where the library gives
/// up.
/// @return as checked_eigh
std::pair<at::Tensor, at::Tensor> batched_eigh(const at::Tensor& matrices);

/// A library's eigenpairs of symmetric matrices [c, r, r], each result checked: residual and orthogonality on
/// random vectors; what fails is solved again in float64, then on the CPU.
/// @param values [c, r], @param vectors [c, r, r] in columns
/// @return as checked_eigh
std::pair<at::Tensor, at::Tensor> repair_eigh(const at::Tensor& matrices, at::Tensor values,
                                              at::Tensor vectors);

/// Whole spectra of symmetric matrices [c, r, r] by the library's batched eigensolver, checked and where
/// wrong repaired. (A GPU's eigensolver has failed silently on float32 input of low rank.)
/// @return values [c, r] ascending, vectors [c, r, r] in columns; not finite where nothing gave an answer
std::pair<at::Tensor, at::Tensor> checked_eigh(const at::Tensor& matrices);

}  // namespace bilens
