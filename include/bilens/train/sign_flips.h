#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace bilens {

/// Whether documents differ from 0 to one side: were each as likely on the other side, how often would their
/// sum be as far from 0 as it is?
struct SignFlips {
  int64_t flips = 0;      // all 2ⁿ of n documents up to 16, else drawn ones; 0 for one document
  std::vector<double> p;  // two-sided, one a figure; NaN for one document
};

/// p is the share of the flips with a |sum| at least as large; of drawn ones the documents themselves are one
/// more. What is not a number speaks against a difference.
/// @param sums float64 [figures, documents] on the CPU, of paired differences, of documents with tokens
SignFlips flip_signs(const at::Tensor& sums);

/// How small p can be for so many documents: 2^(1−n), or 1/(flips + 1) of drawn ones; NaN for one.
double smallest_flip_p(int64_t documents);

}  // namespace bilens
