#pragma once

#include <vector>

#include "bilens/study/corpus_study.h"

namespace bilens {

/// Projections [tokens, c] of many vectors: where each is largest and most negative, and its distribution.
class ContextPlaces {
 public:
  /// @param sample places that the distribution is taken of, ascending, int64 on the device
  ContextPlaces(int64_t vectors, const at::Tensor& sample, const CorpusStudyConfig& config);

  /// @param first place of the first row @param rows that are in the sample
  void add(const at::Tensor& projections, int64_t first, const at::Tensor& rows);

  const at::Tensor& sampled() const { return sampled_; }  // float32 [s, c]

  /// Fills the contexts, quantiles and histograms of a layer. @param shape [n, k] of the vectors
  void finish(const std::vector<int64_t>& shape, CorpusLayer& result) const;

 private:
  struct End {
    at::Tensor values, places;  // [contexts, c]
  };

  at::Tensor sample_, sampled_;  // [s], [s, c]
  int64_t keep_, seen_ = 0;
  End ends_[2];  // largest, most negative
};

}  // namespace bilens
