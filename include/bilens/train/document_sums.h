#pragma once

#include <vector>

#include "bilens/data/token_stream.h"
#include "bilens/records/interval.h"

namespace bilens {

/// Sums of figures of predicted tokens over the documents that these belong to, for intervals over documents.
class DocumentSums {
 public:
  /// @param end of what is read of the stream: documents behind it are left out
  /// @param figures that each token has
  DocumentSums(const TokenStream& stream, int64_t end, int64_t figures);

  /// @param begins of the rows in the stream
  /// @param figures [rows, length] each, of the tokens that follow the inputs of those rows
  void add(const std::vector<int64_t>& begins, const std::vector<at::Tensor>& figures);

  at::Tensor tokens() const;  // int64 [documents]
  /// float64 [figures, documents] on the CPU
  at::Tensor sums() const { return sums_.narrow(0, 1, sums_.size(0) - 1); }

 private:
  at::Tensor starts_, sums_;  // sums_: tokens first
};

/// Means over tokens and their 95% intervals, as if the documents had been drawn from many: R = ΣS/ΣT over
/// the documents' sums S and tokens T, ± t √(n/(n−1) Σ(S − RT)²)/ΣT with Student's t of n − 1 degrees of
/// freedom. Beside it the p of sign flips (sign_flips.h) of S.
/// @param tokens int64 [documents] @param sums float64 [figures, documents] @return one a figure
std::vector<IntervalRecord> document_intervals(const at::Tensor& tokens, const at::Tensor& sums);

}  // namespace bilens
