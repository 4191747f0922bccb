#pragma once

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "bilens/core/json.h"
#include "bilens/io/safetensors.h"

namespace bilens::report {

/// What a decomposition's eigenpairs contribute on text: corpus.json and corpus.safetensors.
class Corpus {
 public:
  /// Null where there is none. @throws Error(kBadInput) when it is damaged
  static std::unique_ptr<Corpus> read(const std::filesystem::path& decomposition);

  /// Means over directions: {"path", "tokens", "layers": [{"layer", "directions", "quadratic", "linear",
  /// "constant" (shares), "form_r2", "r2": [k + 1], "correlation": [k + 1], "active": {"share", "r2"}, of a
  /// surrogate "surrogate": {"error", "bound"}}], "quantiles": of the contexts below, "losses":
  /// [{"layer", "k": [], "values": []}] with a layer truncated}.
  Json summary() const;

  /// {"mean", "std" of λp², "contexts": {"positive", "negative", "quantiles": [[before, token, after,
  /// p]]}, "histogram": {"low", "high" of p, "counts"}}; empty where the layer was not studied.
  Json eigenpair(int64_t layer, int64_t direction, int64_t index, int64_t max_contexts) const;

 private:
  Corpus(const std::filesystem::path& tensors) : tensors_(tensors) {}
  at::Tensor tensor(int64_t layer, const std::string& name, at::IntArrayRef shape) const;
  Json contexts(const at::Tensor& places, const at::Tensor& projections, int64_t count) const;
  std::string text(int64_t begin, int64_t end) const;

  SafetensorsFile tensors_;
  std::string path_;
  std::vector<std::string> vocabulary_;
  Json summaries_ = Json::array(), losses_ = Json::array();
  std::vector<int64_t> layers_;
  std::vector<double> quantiles_;
  at::Tensor ids_;  // int64 [tokens]
  int64_t window_ = 1;
};

}  // namespace bilens::report
