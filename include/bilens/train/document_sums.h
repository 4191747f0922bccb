#pragma once

#include <vector>

#include "bilens/core/json.h"
#include "bilens/data/token_stream.h"

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

/// The mean over tokens and where 95 of 100 means lie when documents are drawn anew with replacement
/// (bootstrap, percentiles); low and high NaN for fewer than two documents with tokens.
struct DocumentInterval {
  double mean = 0.0, low = 0.0, high = 0.0;
};

/// {"mean", "low", "high"}
Json to_json(const DocumentInterval& interval);

/// @param sums float64 [figures, documents] @return one a figure
std::vector<DocumentInterval> bootstrap_documents(const at::Tensor& tokens, const at::Tensor& sums,
                                                  int64_t draws, uint64_t seed);

}  // namespace bilens
