#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bilens/records/corpus_record.h"

namespace bilens::report {

/// What a decomposition's eigenpairs contribute on text.
class Corpus {
 public:
  /// Null where there is none. @throws Error(kBadInput) when it is damaged
  static std::unique_ptr<Corpus> read(const std::filesystem::path& decomposition);

  /// Means over directions: {"data", "tokens", "window", "sample": how many, "layers": [{"layer",
  /// "directions", "quadratic", "linear", "constant" (shares), "form_r2", "r2": [k + 1], "correlation": [k +
  /// 1], "active": {"share", "r2"}, of a surrogate "surrogate": {"error", "bound"}}],
  /// "quantiles": of the contexts below, "loss": null or {"tokens", "documents", "own": the model's} of
  /// "losses": [{"layer", "k": [], "values", "low", "high": []}] with a layer truncated}.
  Json summary() const;

  /// {"mean", "std" of λp², "contexts": {"positive", "negative", "quantiles": [[before, token, after,
  /// p]]}, "histogram": {"low", "high" of p, "counts"}}; empty where the layer was not studied.
  /// @throws Error(kBadInput) where the study has fewer directions or eigenpairs
  Json eigenpair(int64_t layer, int64_t direction, int64_t index, int64_t max_contexts) const;

 private:
  explicit Corpus(CorpusStudy study) : study_(std::move(study)) {}
  Json contexts(const at::Tensor& places, const at::Tensor& projections, int64_t count) const;
  std::string text(int64_t begin, int64_t end) const;

  CorpusStudy study_;
  std::vector<std::string> vocabulary_;  // as tokens read in a text
};

}  // namespace bilens::report
